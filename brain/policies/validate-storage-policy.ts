/** Whether a StoragePolicy makes sense, in words for the person who wrote it. Pure. */
import { formatSelector, type LabelSelector, selectorProblems } from "@couchestor/common/crd/label-selector.ts";
import { poolSelectorsOf, type StoragePolicySpec, type Tier } from "@couchestor/common/crd/storage-policy.ts";
import { checkDuration } from "@couchestor/common/crd/texts.ts";
import { scheduleProblems } from "../tiering/window.ts";

const minuteMs = 60_000;
const dayMs = 86_400_000;

export const samplingWindowLimits = { minMs: minuteMs, maxMs: 30 * dayMs };
export const cooldownLimits = { minMs: 0, maxMs: 365 * dayMs };
export const migrationTimeoutLimits = { minMs: minuteMs, maxMs: 7 * dayMs };

export const windowLimits = { minMs: minuteMs, maxMs: 7 * dayMs };

export interface Findings {
  /** Each names a field, what came and what is allowed. With any of these the policy does nothing. */
  problems: string[];
  /** What works but may surprise, or goes away some day. */
  warnings: string[];
}

/** Checks a spec that the schema has accepted. What only the cluster can tell (pools, volumes) is checked where those are known. */
export function validateStoragePolicy(spec: StoragePolicySpec): Findings {
  const selectors = poolSelectorsOf(spec);
  const durations = [
    checkDuration(spec.samplingWindow, samplingWindowLimits, "samplingWindow"),
    checkDuration(spec.cooldownPeriod, cooldownLimits, "cooldownPeriod"),
    ...(spec.migrationTimeout === undefined
      ? []
      : [checkDuration(spec.migrationTimeout, migrationTimeoutLimits, "migrationTimeout")]),
    ...(spec.schedule === undefined ? [] : [checkDuration(spec.schedule.duration, windowLimits, "schedule.duration")]),
  ];
  const fields = [
    "hotPoolSelector",
    "warmPoolSelector",
    "coldPoolSelector",
    "nvmePoolSelector",
    "sataPoolSelector",
    "volumeSelector",
  ] as const;
  const problems = [
    ...watermarkProblems(spec),
    ...durations.flatMap((duration) => duration.problems),
    ...(spec.schedule === undefined ? [] : scheduleProblems(spec.schedule)),
    ...fields.flatMap((field) => (spec[field] === undefined ? [] : selectorProblems(spec[field], field))),
  ];
  return { problems, warnings: [...deprecations(spec), ...surprises(spec, selectors)] };
}

function watermarkProblems({
  lowWatermarkIOPS: low,
  warmWatermarkIOPS: warm,
  highWatermarkIOPS: high,
}: StoragePolicySpec): string[] {
  if (low >= high) return [`lowWatermarkIOPS: got ${low}, allowed is less than highWatermarkIOPS (${high})`];
  if (warm === 0 || (low < warm && warm < high)) return [];
  return [
    `warmWatermarkIOPS: got ${warm}, allowed is 0 (two tiers), or more than lowWatermarkIOPS (${low}) and less than highWatermarkIOPS (${high})`,
  ];
}

function deprecations(spec: StoragePolicySpec): string[] {
  const pairs = [
    ["nvmePoolSelector", "hotPoolSelector"],
    ["sataPoolSelector", "coldPoolSelector"],
  ] as const;
  return pairs.flatMap(([old, instead]) => {
    if (spec[old] === undefined) return [];
    const both = spec[instead] === undefined ? "" : `; ${instead} is set too and wins`;
    return [`${old} is deprecated: use ${instead}${both}`];
  });
}

function surprises(spec: StoragePolicySpec, selectors: Partial<Record<Tier, LabelSelector | undefined>>): string[] {
  const warnings: string[] = [];
  const tiers = (["hot", "warm", "cold"] as const).filter((tier) => tier !== "warm" || spec.warmWatermarkIOPS !== 0);
  const unset = tiers.filter((tier) => selectors[tier] === undefined);
  if (unset.length > 0) {
    warnings.push(
      `${unset.map((tier) => `${tier}PoolSelector`).join(" and ")} not set: nothing is moved to ${unset.join(" or ")} pools`,
    );
  }
  if (spec.warmWatermarkIOPS === 0 && selectors.warm !== undefined) {
    warnings.push("warmPoolSelector has no effect while warmWatermarkIOPS is 0: there are two tiers only");
  }
  for (const [i, a] of tiers.entries()) {
    for (const b of tiers.slice(i + 1)) {
      const first = selectors[a];
      const second = selectors[b];
      if (first === undefined || second === undefined || formatSelector(first) !== formatSelector(second)) continue;
      warnings.push(
        `${a}PoolSelector and ${b}PoolSelector select the same pools; a pool in two tiers is used in neither`,
      );
    }
  }
  if (spec.ecPolicyRef !== undefined && selectors.cold === undefined) {
    warnings.push("ecPolicyRef has no effect without a coldPoolSelector: there are no cold pools to choose from");
  }
  return warnings;
}
