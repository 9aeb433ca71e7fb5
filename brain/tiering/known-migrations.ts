/** What tiering knows of Migrations: those under way hold space and turns; those that have ended tell when, how, and what came of it. Pure. */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { apiGroup } from "@couchestor/common/crd/object.ts";
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import { parseTimestamp } from "./cooldown.ts";
import type { EndedMigration } from "./migration-counts.ts";
import type { ActiveMove } from "./model.ts";

/** On a Migration: the generation of the policy's spec that decided it. Failures under another spec don't pause the present one. */
export const policyGenerationAnnotation = `${apiGroup}/policy-generation`;

export interface MigrationEnd {
  /** As in its outcome; `Unknown` if it ended without one. */
  result: string;
  reason: string;
  message: string;
  /** When, wall-clock. */
  endedMs: number;
  /** It was refused before anything was done. */
  untouched: boolean;
  durationMs: number;
}

export interface KnownMigration {
  name: string;
  policyName: string | undefined;
  /** Another policy of the same name has another. */
  policyUid: string | undefined;
  policyGeneration: number | undefined;
  volumeName: string;
  volumeUuid: string;
  fromTier: Tier | "mixed";
  toTier: Tier;
  /** Where its new replicas go. */
  toPools: readonly string[];
  /** Pools and nodes that it keeps new replicas off at present. */
  cordons: readonly string[];
  triggerIops: number | undefined;
  createdMs: number;
  /** Bytes that it copies at most; of one that has ended, what it has copied. */
  bytes: number;
  /** Undefined while it is under way. */
  end: MigrationEnd | undefined;
}

/** What is known of an object, however little of it is there. */
export function knownMigration({
  metadata,
  spec,
  status,
}: Partial<Migration> & Pick<Migration, "metadata">): KnownMigration {
  const createdMs = parseTimestamp(metadata.creationTimestamp ?? "") ?? 0;
  const ended = status?.phase === "Finished";
  const replicas = spec?.replicas ?? [];
  const additions = Math.max(replicas.length, (spec?.finalReplicaCount ?? 1) - (spec?.originalReplicaCount ?? 1));
  const generation = Number(metadata.annotations?.[policyGenerationAnnotation]);
  return {
    name: metadata.name,
    policyName: spec?.policyRef,
    policyUid: spec?.policyUid,
    policyGeneration: Number.isSafeInteger(generation) ? generation : undefined,
    volumeName: spec?.volumeName ?? "",
    volumeUuid: spec?.volumeUuid ?? "",
    fromTier: spec?.fromTier ?? "mixed",
    toTier: spec?.toTier ?? "cold",
    toPools: [...new Set(replicas.flatMap(({ toPools }) => toPools.slice(0, 1)))],
    cordons: ended ? [] : (status?.heldSteering ?? []).map(({ target }) => target),
    triggerIops: spec?.triggerIOPS,
    createdMs,
    bytes: ended ? (status.bytesDone ?? 0) : (spec?.sizeBytes ?? 0) * additions,
    end: ended ? endOf(status, createdMs) : undefined,
  };
}

function endOf(status: NonNullable<Migration["status"]>, createdMs: number): MigrationEnd {
  const endedMs = parseTimestamp(status.endTime ?? "") ?? createdMs;
  return {
    result: status.outcome?.result ?? "Unknown",
    reason: status.outcome?.reason ?? "Unknown",
    message: status.outcome?.message ?? "",
    endedMs,
    untouched: status.startTime === undefined,
    durationMs: Math.max(0, endedMs - (parseTimestamp(status.startTime ?? "") ?? createdMs)),
  };
}

/** As the decisions take it; undefined when it has ended. */
export function activeMove({ policyName, volumeUuid, toTier, toPools, end }: KnownMigration): ActiveMove | undefined {
  return end === undefined ? { policyName, volumeUuid, toTier, toPools } : undefined;
}

/** As it is counted; undefined while it is under way, and for what a person started. */
export function endedMigration({ policyName, policyUid, end }: KnownMigration): EndedMigration | undefined {
  return end === undefined || policyName === undefined ? undefined : { policyName, policyUid, result: end.result };
}

/** Whether it is of this policy, and not of another that had its name. */
export function isOfPolicy(migration: KnownMigration, policy: { name: string; uid?: string | undefined }): boolean {
  if (migration.policyName !== policy.name) return false;
  return migration.policyUid === undefined || migration.policyUid === policy.uid;
}
