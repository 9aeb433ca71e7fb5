/**
 * What the carrying out of Migrations needs of the world, all of it through ports: a history on virtual time replaces each of them.
 * `Migrations` in `migrations.ts` takes these; its `reconcile(name)` does one turn: look, decide, write the intent, make at most one call that
 * changes anything. A turn may throw anywhere; the next one, of this process or another, goes on from the journal and from what it sees.
 */
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { MayastorClient } from "../mayastor/client.ts";
import type { Log } from "../ports.ts";
import type { Leadership } from "../runtime/leadership.ts";
import type { ResourceStore } from "../store/ports.ts";

/** How an ECVolume stands on which a pool is built. */
export interface EcStanding {
  /** How many of its shards may be lost. */
  parityShards: number;
  /** Every stripe has been verified with all its shards. */
  healthy: boolean;
}

export interface MigrationDeps {
  store: Pick<ResourceStore, "get" | "pages" | "update" | "updateStatus">;
  mayastor: MayastorClient;
  clock: Clock;
  prng: Prng;
  log: Log;
  /** Asked right before anything is changed. */
  leadership: Pick<Leadership, "assertLeader">;
  /** How the ECVolume of that name stands; undefined if there is none, or that isn't known. */
  ecHealth(volumeName: string): Promise<EcStanding | undefined>;
  /** Why none of a policy's migrations may begin now, such as a closed window; without it they may whenever it is enabled and no dry run. */
  whyNotBegin?: ((policy: StoragePolicy) => { reason: string; message: string } | undefined) | undefined;
  /** Starts, ends and failures, for Events and the audit log. Must not throw. */
  tell(news: MigrationNews): void;
  metrics: MigrationMetrics;
}

/** Something that people should hear of. */
export interface MigrationNews {
  migration: string;
  volumeName: string;
  policyRef: string | undefined;
  type: "Normal" | "Warning";
  /** In CamelCase: `MigrationStarted`, `MigrationSucceeded`, `RebuildFailed` … */
  reason: string;
  note: string;
}

export interface MigrationMetrics {
  /** A migration has ended. */
  ended(end: { result: string; reason: string; durationMs: number; bytes: number }): void;
  /** A call that changes something was made at the control plane. */
  called(call: { kind: string; outcome: "done" | "refused" | "unknown" }): void;
}

/** For those who don't count. */
export const noMetrics: MigrationMetrics = { ended() {}, called() {} };

/** The label of a pool that stands on an ECVolume; its value is the ECVolume's name. */
export const ecVolumeLabel = "couchestor/ec-volume";
/** Of Migration objects: they go only after everything of theirs at the control plane has been taken back. */
export const migrationFinalizer = "storage.billyronks.io/migration";
