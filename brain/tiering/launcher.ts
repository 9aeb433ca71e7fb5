/**
 * Makes Migrations of decisions. What it has made counts as under way from then on, although the cache doesn't show it yet: or the next look
 * would have more moved at once than is allowed.
 */
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { type AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { ResourceStore } from "../store/ports.ts";
import { type KnownMigration, knownMigration } from "./known-migrations.ts";
import { type LaunchOptions, migrationOf } from "./launch.ts";
import type { PlanEntry } from "./model.ts";

export interface LauncherDeps {
  clock: Clock;
  store: Pick<ResourceStore, "create">;
  /** Writes on a PersistentVolume how many replicas it has, before it goes where one is enough. */
  noteReplicaCount(volumeName: string, count: number): Promise<void>;
  /** A Migration was made. Must not throw. */
  decided(entry: PlanEntry, policy: StoragePolicy, migrationName: string): void;
}

/** Caches follow within a second; what doesn't show by then was deleted. */
const unseenMsMax = 120_000;

export class Launcher {
  readonly #deps: LauncherDeps;
  readonly #timeout: string;
  readonly #made = new Map<string, { known: KnownMigration; atMs: number }>();

  /** `timeout`: where the policy says nothing, such as `30m`. */
  constructor(deps: LauncherDeps, timeout: string) {
    this.#deps = deps;
    this.#timeout = timeout;
  }

  /** Those known, with what was made and doesn't show yet. */
  withMade(known: readonly KnownMigration[]): readonly KnownMigration[] {
    const nowMs = this.#deps.clock.monotonicMs();
    const shown = new Set(known.map(({ name }) => name));
    for (const [name, { atMs }] of this.#made)
      if (shown.has(name) || nowMs - atMs > unseenMsMax) this.#made.delete(name);
    return [...known, ...[...this.#made.values()].map((made) => made.known)];
  }

  /** Makes the Migration of a decision to move; says whether it did. Throws what the store throws, but not that it is there already. */
  async launch(entry: PlanEntry, policy: StoragePolicy, options: Omit<LaunchOptions, "timeout">): Promise<boolean> {
    const { store, clock } = this.#deps;
    const migration = migrationOf(entry, policy, { ...options, timeout: this.#timeout });
    if (migration === undefined) return false;
    const { originalReplicaCount, finalReplicaCount } = migration.spec;
    if (finalReplicaCount < originalReplicaCount && !(entry.tier === "mixed" && entry.volume.replicaCountBefore))
      await this.#deps.noteReplicaCount(entry.volume.name, originalReplicaCount);
    const { name } = migration.metadata;
    const createdMs = clock.wallMs();
    const made = knownMigration({
      ...migration,
      metadata: { ...migration.metadata, creationTimestamp: new Date(createdMs).toISOString() },
    });
    this.#made.set(name, { known: made, atMs: clock.monotonicMs() });
    try {
      await store.create(migrationKind, migration);
    } catch (error) {
      if (isAppError(error, "AlreadyExists")) return false;
      // It may be there all the same; then the cache shows it soon.
      if (!isUnknown(error)) this.#made.delete(name);
      throw error;
    }
    this.#deps.decided(entry, policy, name);
    return true;
  }
}

function isUnknown(error: unknown): error is AppError {
  return isAppError(error, "Timeout") || isAppError(error, "Unavailable");
}
