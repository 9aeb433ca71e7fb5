/** From a StoragePolicy as the API server has it to what decisions are made of. Pure. */
import { type MigrationRecord, poolSelectorsOf, type StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { type Findings, validateStoragePolicy } from "../policies/validate-storage-policy.ts";
import { brakeOf } from "./brake.ts";
import { parseTimestamp } from "./cooldown.ts";
import { lastMoves } from "./history.ts";
import { isOfPolicy, type KnownMigration } from "./known-migrations.ts";
import type { Block, ErasureCodedTier, TieringPolicy } from "./model.ts";
import { windowOf } from "./window.ts";

export interface PolicyInput {
  policy: TieringPolicy;
  findings: Findings;
}

/** What holds when a duration can't be read; the policy then moves nothing anyway. */
const unreadableMs = 3_600_000;

/** What surrounds a policy. */
export interface PolicyContext {
  /** Of the whole brain. */
  preservationMode: boolean;
  migrations: readonly KnownMigration[];
  nowMs: number;
  ecVolumes: ErasureCodedTier["volumes"];
}

const nothing: PolicyContext = { preservationMode: false, migrations: [], nowMs: 0, ecVolumes: new Map() };

/** The policy, with what is wrong with it and what holds it back. */
export function policyInputOf(resource: StoragePolicy, context: PolicyContext = nothing): PolicyInput {
  const { spec, metadata, status } = resource;
  const { preservationMode, migrations, nowMs, ecVolumes } = context;
  const findings = validateStoragePolicy(spec);
  const own = migrations.filter((migration) => isOfPolicy(migration, metadata));
  const hold = findings.problems.length > 0 ? undefined : pauseOf(resource, own, nowMs);
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
    lastMoves: lastMovesOf(status?.migrationHistory ?? [], own),
    ...(spec.maxBytesPerSecond === undefined ? {} : { bytesPerSecond: spec.maxBytesPerSecond }),
    ...(hold === undefined ? {} : { hold }),
    ...(spec.ecPolicyRef === undefined
      ? {}
      : {
          erasureCoded: {
            policyRef: spec.ecPolicyRef,
            volumeBytesMin: spec.ecMinVolumeSizeBytes,
            volumes: ecVolumes,
          },
        }),
    problems: findings.problems,
  };
  return { policy, findings };
}

/** What keeps a policy without faults from beginning anything now. `own`: its Migrations. */
function pauseOf(resource: StoragePolicy, own: readonly KnownMigration[], nowMs: number): Block | undefined {
  return brakeOf(resource, own) ?? windowOf(resource.spec.schedule, nowMs);
}

/** Why none of a policy's Migrations may begin now, by the very rules that none is made by; undefined if they may. */
export function whyNotBegin(
  resource: StoragePolicy,
  migrations: Iterable<KnownMigration>,
  nowMs: number,
): Pick<Block, "reason" | "message"> | undefined {
  const { problems } = validateStoragePolicy(resource.spec);
  if (problems.length > 0) return { reason: "PolicyInvalid", message: problems.join("; ") };
  const own = [...migrations].filter((migration) => isOfPolicy(migration, resource.metadata));
  return pauseOf(resource, own, nowMs);
}

/** When each volume was last moved with success, by what the status remembers and by the Migrations themselves. */
function lastMovesOf(history: readonly MigrationRecord[], own: readonly KnownMigration[]): Map<string, number> {
  const last = lastMoves(own);
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
