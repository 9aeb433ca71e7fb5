/**
 * The limits of the health policy, each with where it comes from. They are few and blunt on purpose: what a device says of itself decides first,
 * what it does decides second, and no formula over vendors' attributes decides anything.
 */

export interface HealthLimits {
  /** Share of the endurance from which a device counts as wearing: time to order another one. */
  readonly wearWearing: number;
  /** Well past what the maker guarantees. NVMe: "a value of 100 … may not indicate an NVM subsystem failure", so 1 alone condemns nothing. */
  readonly wearFailing: number;
  /** A spare this close above its threshold counts as wearing. Below the threshold it is failing (NVMe critical warning bit 0). */
  readonly spareMargin: number;
  /** Reallocated sectors in all: one is a sign (Pinheiro et al., FAST 2007: a first one makes failure within 60 days 14 times as likely). */
  readonly reallocatedWearing: number;
  readonly reallocatedFailing: number;
  /** Sectors that can't be read and wait for a write. */
  readonly pendingWearing: number;
  readonly pendingFailing: number;
  /** Uncorrectable errors of the medium that came in the last day. */
  readonly mediaErrorsPerDayWearing: number;
  readonly mediaErrorsPerDayFailing: number;
  readonly reallocatedPerDayFailing: number;
  /** Reads and writes that failed in the last day, as the pool on the device saw them. */
  readonly ioErrorsPerDayWearing: number;
  readonly ioErrorsPerDayFailing: number;
  /** How long an operation may be under way while the device finishes none at all. */
  readonly hungMs: number;
  /** How often a finding that may be noise must be seen in a row before it counts. */
  readonly confirmations: number;
  /** How long a finding must not have been seen before it is dropped. */
  readonly clearWearingMs: number;
  readonly clearFailingMs: number;
}

const minuteMs = 60_000;

export const healthLimits: HealthLimits = {
  wearWearing: 0.9,
  wearFailing: 1.2,
  spareMargin: 0.1,
  reallocatedWearing: 1,
  reallocatedFailing: 500,
  pendingWearing: 1,
  pendingFailing: 20,
  mediaErrorsPerDayWearing: 1,
  mediaErrorsPerDayFailing: 10,
  reallocatedPerDayFailing: 20,
  ioErrorsPerDayWearing: 1,
  ioErrorsPerDayFailing: 5,
  hungMs: minuteMs,
  confirmations: 3,
  clearWearingMs: 10 * minuteMs,
  clearFailingMs: 60 * minuteMs,
};
