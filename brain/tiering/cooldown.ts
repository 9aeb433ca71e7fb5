/** How long a volume stays where it is after a migration: by the annotation of its PersistentVolume and the policy's memory, the later one. */
import { apiGroup } from "@couchestor/common/crd/object.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import type { Reason, TieredVolume, TieringPolicy } from "./model.ts";

/** On a PersistentVolume: when it was moved last, as an ISO-8601 timestamp. */
export const lastMigrationAnnotation = `${apiGroup}/last-migration`;

const timestamp = /^\d{4}-\d\d-\d\dT\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)$/;

/** What holds a volume back; undefined if nothing does. */
export function cooldownOf(
  policy: TieringPolicy,
  volume: TieredVolume,
  nowMs: number,
): { reason: Reason; message: string; notBeforeMs?: number } | undefined {
  const text = volume.lastMigration;
  const annotatedMs = text === undefined ? undefined : parseTimestamp(text);
  if (text !== undefined && annotatedMs === undefined) {
    return {
      reason: "AnnotationUnreadable",
      message: `the annotation ${lastMigrationAnnotation} of PersistentVolume ${volume.name} is no timestamp ("${text.slice(0, 40)}"): correct or remove it`,
    };
  }
  const lastMs = Math.max(
    annotatedMs ?? Number.NEGATIVE_INFINITY,
    policy.lastMoves.get(volume.name) ?? Number.NEGATIVE_INFINITY,
  );
  const notBeforeMs = lastMs + policy.cooldownMs;
  if (!(notBeforeMs > nowMs)) return undefined;
  const left = formatDuration(Math.ceil((notBeforeMs - nowMs) / 1000) * 1000);
  const ahead = lastMs > nowMs ? ", which lies in the future: is a clock wrong?" : "";
  return {
    reason: "Cooldown",
    message: `it was moved at ${new Date(lastMs).toISOString()}${ahead}; cooling down for another ${left}`,
    notBeforeMs,
  };
}

/** Milliseconds since the epoch; undefined for what is no timestamp. */
export function parseTimestamp(text: string): number | undefined {
  if (!timestamp.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
