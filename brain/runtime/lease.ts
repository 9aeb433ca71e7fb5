/** The lease that brains compete for, as a port; `kube-lease.ts` has it in the Kubernetes API. */

export interface Lease {
  /** Who holds it; empty: nobody. */
  holder: string;
  /** For how long a holder may be silent before it counts as gone. */
  durationMs: number;
  /** When the present holder got it and last confirmed it, by *its* wall clock. For people; nothing is decided by them. */
  acquiredAt: string;
  renewedAt: string;
  /** How often the holder has changed. */
  transitions: number;
  /** Of compare-and-swap. Any change makes another. */
  version: string;
}

export interface LeaseStore {
  /** The lease now; undefined if there is none. */
  read(timeoutMs: number): Promise<Lease | undefined>;
  /** Throws `AlreadyExists`. */
  create(lease: Omit<Lease, "version">, timeoutMs: number): Promise<Lease>;
  /** Throws `Conflict` if `version` is no longer the current one, `Conflict` or `NotFound` if there is no lease any more. Never creates one. */
  replace(lease: Lease, timeoutMs: number): Promise<Lease>;
}

export interface LeaseTimes {
  /** How long others wait, counted from when they last saw the lease change. */
  leaseDurationMs: number;
  /** How long a holder acts on one renewal, counted from when that was sent. Less than `leaseDurationMs`, by the margin for what is under way. */
  renewDeadlineMs: number;
  /** Between attempts. */
  retryPeriodMs: number;
}

export const leaseTimes: LeaseTimes = { leaseDurationMs: 15_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
