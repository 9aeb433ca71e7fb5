/** What is written on PersistentVolumes: when one was moved last, and how many replicas it had. Level-based: whatever a crash left out is written later. */
import { type AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { lastMigrationAnnotation, parseTimestamp } from "./cooldown.ts";
import { replicaCountAnnotation } from "./erasure-coded.ts";

export interface NotesDeps {
  /** Sets annotations of a PersistentVolume. Throws `NotFound` if there is none. */
  annotate(volumeName: string, annotations: Record<string, string>): Promise<void>;
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
