/** The latest migrations of a policy, for its status, and when each volume was moved last. Pure. */
import { type MigrationRecord, migrationHistoryMax } from "@couchestor/common/crd/storage-policy.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import type { KnownMigration } from "./known-migrations.ts";

const errorMax = 1024;

/** Newest first: what the objects tell, and what the status remembers of objects that are gone. */
export function historyOf(before: readonly MigrationRecord[], ended: readonly KnownMigration[]): MigrationRecord[] {
  const found = ended.flatMap((migration) => {
    const record = recordOf(migration);
    return record === undefined ? [] : [record];
  });
  const names = new Set(found.map(({ migration }) => migration));
  const gone = before.filter(({ migration }) => migration === undefined || !names.has(migration));
  return [...found, ...gone]
    .sort((a, b) =>
      a.timestamp === b.timestamp ? (a.volumeName < b.volumeName ? -1 : 1) : a.timestamp < b.timestamp ? 1 : -1,
    )
    .slice(0, migrationHistoryMax);
}

function recordOf({
  name,
  volumeName,
  fromTier,
  toTier,
  triggerIops,
  end,
}: KnownMigration): MigrationRecord | undefined {
  if (end === undefined) return undefined;
  const success = end.result === "Succeeded";
  return {
    volumeName,
    timestamp: new Date(end.endedMs).toISOString(),
    fromTier,
    toTier,
    triggerIOPS: triggerIops ?? 0,
    duration: formatDuration(Math.round(end.durationMs / 1000) * 1000),
    migration: name,
    success,
    ...(success ? {} : { error: `${end.result}, ${end.reason}: ${end.message}`.slice(0, errorMax) }),
  };
}

/** When each volume was last moved with success, by its name: by these migrations. */
export function lastMoves(migrations: readonly KnownMigration[]): Map<string, number> {
  const last = new Map<string, number>();
  for (const { volumeName, end } of migrations)
    if (end?.result === "Succeeded") last.set(volumeName, Math.max(end.endedMs, last.get(volumeName) ?? end.endedMs));
  return last;
}
