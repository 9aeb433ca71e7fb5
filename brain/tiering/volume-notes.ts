/** What is written on PersistentVolumes: when one was moved last, and how many replicas it had. Level-based: whatever a crash left out is written later. */
import { type AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { lastMigrationAnnotation, parseTimestamp } from "./cooldown.ts";
import { isErasureCoded, replicaCountAnnotation } from "./erasure-coded.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { TieredPool, TieredVolume } from "./model.ts";

export interface NotesDeps {
  /** Sets annotations of a PersistentVolume; null takes one off. Throws `NotFound` if there is none. */
  annotate(volumeName: string, annotations: Record<string, string | null>): Promise<void>;
}

/** Writes at a time; the next look writes the rest. */
const notesMax = 50;

/** Writes when volumes were moved last where they don't say so. Returns what could not be written. */
export async function noteMoves(
  deps: NotesDeps,
  moved: ReadonlyMap<string, number>,
  volumes: Iterable<{ name: string; lastMigration: string | undefined }>,
): Promise<unknown[]> {
  const errors: unknown[] = [];
  let written = 0;
  for (const { name, lastMigration } of volumes) {
    const movedMs = moved.get(name);
    if (movedMs === undefined || written >= notesMax) continue;
    // What can't be read was written by somebody, who is told so where it is decided.
    const saidMs = lastMigration === undefined ? 0 : (parseTimestamp(lastMigration) ?? Number.POSITIVE_INFINITY);
    if (saidMs >= movedMs) continue;
    written += 1;
    try {
      await deps.annotate(name, { [lastMigrationAnnotation]: new Date(movedMs).toISOString() });
    } catch (error) {
      if (!isAppError(error, "NotFound")) errors.push(error as AppError);
    }
  }
  return errors;
}

/** Writes how many replicas a volume has. */
export async function noteReplicaCount(deps: NotesDeps, volumeName: string, count: number): Promise<void> {
  await deps.annotate(volumeName, { [replicaCountAnnotation]: String(count) });
}

/**
 * Takes the number off the volumes that have that many again: it would be given back to one that somebody has given fewer replicas since. Returns what
 * could not be written.
 */
export async function dropReplicaCounts(
  deps: NotesDeps,
  { volumes, pools }: { volumes: readonly TieredVolume[]; pools: readonly TieredPool[] },
  migrationsOf: ReadonlyMap<string, readonly KnownMigration[]>,
): Promise<unknown[]> {
  const byName = new Map(pools.map((pool) => [pool.name, pool]));
  const back = volumes.filter((volume) => isBack(volume, byName, migrationsOf.get(volume.uuid) ?? []));
  const errors: unknown[] = [];
  for (const { name } of back.slice(0, notesMax)) {
    try {
      await deps.annotate(name, { [replicaCountAnnotation]: null });
    } catch (error) {
      if (!isAppError(error, "NotFound")) errors.push(error);
    }
  }
  return errors;
}

/** Its last migration brought it back, and all its replicas are where each of them is one copy. One that is about to leave again keeps its number. */
function isBack(
  { replicaCountBefore, replicas = [] }: TieredVolume,
  pools: ReadonlyMap<string, TieredPool>,
  migrations: readonly KnownMigration[],
): boolean {
  if (replicaCountBefore === undefined || !(Number(replicaCountBefore) <= replicas.length)) return false;
  const [latest] = [...migrations].sort((a, b) => b.createdMs - a.createdMs);
  const cameBack = latest?.toTier !== "cold" && latest?.end?.result === "Succeeded";
  if (!cameBack || migrations.some(({ end }) => end === undefined)) return false;
  return replicas.every(({ poolName }) => {
    const pool = pools.get(poolName ?? "");
    return pool !== undefined && !isErasureCoded(pool);
  });
}
