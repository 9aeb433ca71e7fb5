/** Migrations as tiering knows them, for tests. */
import type { KnownMigration, MigrationEnd } from "../known-migrations.ts";
import { sampleNowMs } from "./decision-samples.ts";

/** One of policy `p` that is under way. */
export function sampleMigration(name: string, more: Partial<KnownMigration> = {}): KnownMigration {
  return {
    name,
    policyName: "p",
    policyUid: undefined,
    policyGeneration: undefined,
    volumeName: "pvc-1",
    volumeUuid: "uuid-pvc-1",
    fromTier: "cold",
    toTier: "hot",
    toPools: ["hot-1"],
    cordons: [],
    triggerIops: 9000,
    createdMs: sampleNowMs - 3_600_000,
    bytes: 1024 ** 3,
    end: undefined,
    ...more,
  };
}

/** How one ended, so long ago. */
export function sampleEnd(result: string, agoMs = 0, more: Partial<MigrationEnd> = {}): MigrationEnd {
  return {
    result,
    reason: result === "Succeeded" ? "Moved" : "RebuildFailed",
    message: "what happened",
    endedMs: sampleNowMs - agoMs,
    untouched: false,
    durationMs: 90_000,
    ...more,
  };
}
