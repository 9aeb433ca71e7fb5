/** From a StoragePolicy as the API server has it to what decisions are made of. Pure. */
import { poolSelectorsOf, type StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { type Findings, validateStoragePolicy } from "../policies/validate-storage-policy.ts";
import { parseTimestamp } from "./cooldown.ts";
import type { TieringPolicy } from "./model.ts";

export interface PolicyInput {
  policy: TieringPolicy;
  findings: Findings;
}

/** What holds when a duration can't be read; the policy then moves nothing anyway. */
const unreadableMs = 3_600_000;

/** The policy, with what is wrong with it. `preservationMode` is that of the whole brain. */
export function policyInputOf(resource: StoragePolicy, preservationMode = false): PolicyInput {
  const { spec, metadata, status } = resource;
  const findings = validateStoragePolicy(spec);
  const policy: TieringPolicy = {
    name: metadata.name,
    createdMs: parseTimestamp(metadata.creationTimestamp ?? "") ?? 0,
    enabled: spec.enabled,
    dryRun: spec.dryRun,
    preservationMode: preservationMode || spec.preservationMode,
    watermarks: { high: spec.highWatermarkIOPS, warm: spec.warmWatermarkIOPS, low: spec.lowWatermarkIOPS },
    windowMs: durationOf(spec.samplingWindow),
    cooldownMs: durationOf(spec.cooldownPeriod),
    maxConcurrent: spec.maxConcurrentMigrations,
    storageClassName: spec.storageClassName,
    volumeSelector: spec.volumeSelector,
    poolSelectors: poolSelectorsOf(spec),
    lastMoves: lastMovesOf(status?.migrationHistory ?? []),
    problems: findings.problems,
  };
  return { policy, findings };
}

/** When each volume was last moved with success. */
function lastMovesOf(
  history: NonNullable<NonNullable<StoragePolicy["status"]>["migrationHistory"]>,
): Map<string, number> {
  const last = new Map<string, number>();
  for (const { volumeName, timestamp, success } of history) {
    const ms = parseTimestamp(timestamp);
    if (success && ms !== undefined) last.set(volumeName, Math.max(ms, last.get(volumeName) ?? ms));
  }
  return last;
}

function durationOf(text: string): number {
  try {
    return parseDuration(text);
  } catch {
    return unreadableMs;
  }
}
