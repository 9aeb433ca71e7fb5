/**
 * Which old Migrations are removed, so that there are never more than their volumes need, and how they go on being counted: the policy's status first says which are
 * removed and counts them, then they are deleted, and only when they are gone it says the next. A crash between any two counts none twice. Pure.
 */
import { removedNamesMax, type StoragePolicyStatus } from "@couchestor/common/crd/storage-policy.ts";
import type { KnownMigration } from "./known-migrations.ts";
import { endedMigration } from "./known-migrations.ts";
import { type MigrationCounts, migrationCounts } from "./migration-counts.ts";

/** The newest of a policy that are kept, besides the latest of each volume. */
export const keptMax = 200;

export type Removed = NonNullable<StoragePolicyStatus["removedMigrations"]>;

/** What the status is to say. `ended`: those of this very policy that are there and have ended. */
export function nextRemoved(
  before: Removed | undefined,
  ended: readonly KnownMigration[],
  policyUid: string | undefined,
  limit = keptMax,
): Removed | undefined {
  const there = new Set(ended.map(({ name }) => name));
  if (before?.names.some((name) => there.has(name))) return before;
  const batch = surplus(ended, policyUid, limit).slice(0, removedNamesMax);
  if (batch.length === 0) return before;
  const { total, failed } = countOf(batch);
  return {
    total: (before?.total ?? 0) + total,
    failed: (before?.failed ?? 0) + failed,
    names: batch.map(({ name }) => name),
  };
}

/** All that have ever ended. `counted`: those that there are, by whoever counts them. */
export function withRemoved(
  counted: MigrationCounts,
  removed: Removed | undefined,
  ended: readonly KnownMigration[],
): MigrationCounts {
  if (removed === undefined) return counted;
  const names = new Set(removed.names);
  const twice = countOf(ended.filter(({ name }) => names.has(name)));
  return {
    total: counted.total + removed.total - twice.total,
    failed: counted.failed + removed.failed - twice.failed,
  };
}

/** Oldest first. The latest of a volume stays: its name and its end are what comes next is made of. */
function surplus(ended: readonly KnownMigration[], policyUid: string | undefined, limit: number): KnownMigration[] {
  if (policyUid === undefined) return [];
  const newest = [...ended].sort((a, b) => b.createdMs - a.createdMs || (a.name < b.name ? 1 : -1));
  const volumes = new Set<string>();
  const old = newest.filter(({ volumeUuid, policyUid: uid }, i) => {
    const latest = !volumes.has(volumeUuid);
    volumes.add(volumeUuid);
    return i >= limit && !latest && uid === policyUid;
  });
  return old.reverse();
}

function countOf(migrations: readonly KnownMigration[]): MigrationCounts {
  const one = migrations.flatMap((migration) => endedMigration({ ...migration, policyName: "", policyUid: "" }) ?? []);
  return migrationCounts(one)({ name: "", uid: "" });
}
