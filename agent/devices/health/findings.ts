/** What speaks against a device, out of its own records and of how its counters have grown. Pure. */
import type { SmartReading } from "../smart/reading.ts";
import type { HealthLimits } from "./limits.ts";

export interface Finding {
  /** One word; the same finding has the same word at every look. */
  readonly code: string;
  readonly level: "wearing" | "failing";
  /** For a person. */
  readonly text: string;
  /** Whether one look is enough: what the device states as a fact. What is measured here may be noise. */
  readonly isCertain: boolean;
}

/** How much counters have grown within the last day; absent: not known. */
export interface Growth {
  readonly mediaErrors?: number;
  readonly reallocatedSectors?: number;
  readonly ioErrors?: number;
}

/** The findings of one reading. */
export function smartFindings(reading: SmartReading, growth: Growth, limits: HealthLimits): Finding[] {
  const { warnings, passed } = reading;
  const certain = warnings.map(({ code, level, text }) => ({ code: `device-${code}`, level, text, isCertain: true }));
  if (passed === false && !warnings.some(({ level }) => level === "failing")) {
    const level = warnings.length > 0 ? ("wearing" as const) : ("failing" as const);
    certain.push({ code: "device-status", level, text: "its own health check has failed", isCertain: true });
  }
  return [...certain, ...wearFindings(reading, limits), ...sectorFindings(reading, growth, limits)];
}

function wearFindings({ wearRatio, spareRatio, spareThresholdRatio }: SmartReading, limits: HealthLimits): Finding[] {
  const findings: Finding[] = [];
  if (wearRatio !== undefined && wearRatio >= limits.wearWearing) {
    const level = wearRatio >= limits.wearFailing ? ("failing" as const) : ("wearing" as const);
    findings.push({ code: "wear", level, text: `${percent(wearRatio)} of its endurance is used`, isCertain: true });
  }
  if (spareRatio !== undefined && spareThresholdRatio !== undefined) {
    // A device that gives 0 for both tells nothing of its spare: below is below.
    const text = `${percent(spareRatio)} of the spare blocks are left, the threshold is ${percent(spareThresholdRatio)}`;
    if (spareRatio < spareThresholdRatio) findings.push({ code: "spare", level: "failing", text, isCertain: true });
    else if (spareThresholdRatio > 0 && spareRatio < spareThresholdRatio + limits.spareMargin && spareRatio < 1)
      findings.push({ code: "spare", level: "wearing", text, isCertain: true });
  }
  return findings;
}

function sectorFindings(reading: SmartReading, growth: Growth, limits: HealthLimits): Finding[] {
  const findings: Finding[] = [];
  const add = (code: string, count: number | undefined, wearing: number, failing: number, text: string) => {
    if (count === undefined || count < Math.min(wearing, failing)) return;
    findings.push({ code, level: count >= failing ? "failing" : "wearing", text: `${count} ${text}`, isCertain: true });
  };
  const never = Number.POSITIVE_INFINITY;
  const { reallocatedSectors, pendingSectors } = reading;
  add(
    "reallocated",
    reallocatedSectors,
    limits.reallocatedWearing,
    limits.reallocatedFailing,
    "sectors are reallocated",
  );
  add(
    "reallocating",
    growth.reallocatedSectors,
    never,
    limits.reallocatedPerDayFailing,
    "sectors were reallocated within a day",
  );
  add("pending", pendingSectors, limits.pendingWearing, limits.pendingFailing, "sectors can't be read");
  add(
    "media-errors",
    growth.mediaErrors,
    limits.mediaErrorsPerDayWearing,
    limits.mediaErrorsPerDayFailing,
    "errors of the medium within a day",
  );
  return findings;
}

/** What the pool on the device has met with. */
export function poolFindings(
  pool: { poolName: string; state: "Online" | "Full" | "ReadOnly" | "Failed"; reason?: string | undefined } | undefined,
  growth: Growth,
  limits: HealthLimits,
): Finding[] {
  const findings: Finding[] = [];
  if (pool?.state === "ReadOnly" || pool?.state === "Failed") {
    const why = pool.reason === undefined ? "" : `: ${pool.reason}`;
    findings.push({
      code: "pool-stopped",
      // ReadOnly: the medium failed a write. Failed: it is gone, or its pool can't be opened, for which the device may not be to blame.
      level: pool.state === "ReadOnly" ? "failing" : "wearing",
      text: `pool ${pool.poolName} on it is ${pool.state}${why}`,
      isCertain: true,
    });
  }
  const errors = growth.ioErrors;
  if (errors !== undefined && errors >= limits.ioErrorsPerDayWearing) {
    const level = errors >= limits.ioErrorsPerDayFailing ? ("failing" as const) : ("wearing" as const);
    findings.push({ code: "io-errors", level, text: `${errors} reads or writes failed within a day`, isCertain: true });
  }
  return findings;
}

function percent(ratio: number): string {
  return `${Math.round(ratio * 100)} %`;
}
