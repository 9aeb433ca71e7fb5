/** How far the copying is, in bytes and percent, and when it should end. */
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { type Journal, openStep } from "./journal.ts";
import type { Memory } from "./memory.ts";
import type { Seen } from "./settle.ts";

/** With the figures as they are now. `nowMs` is monotonic, `wallMs` for the estimate's timestamp. */
export function withProgress(
  { spec }: Journal,
  status: MigrationStatus,
  { seen, memory, nowMs, wallMs }: { seen: Seen; memory: Memory; nowMs: number; wallMs: number },
): MigrationStatus {
  if (status.phase === "Pending" || status.baseline === undefined || seen === "absent") return status;
  const additions = additionsOf(spec, status);
  const each = Math.max(0, ...seen.replicas.map(({ allocatedBytes }) => allocatedBytes ?? seen.sizeBytes));
  const finished = status.steps.filter(({ name, state }) => name === "WaitForRebuild" && state === "Done").length;
  const open = openStep(status);
  const followed = open?.name === "WaitForRebuild" ? open.intent["replica"] : undefined;
  const replica = seen.replicas.find(({ uuid }) => uuid === followed);
  const percent = replica === undefined ? 0 : (replica.rebuildPercent ?? (replica.child === "Online" ? 100 : 0));
  const parts = Math.min(additions, finished + percent / 100);
  const total = additions * each;
  const share = additions === 0 ? 1 : parts / additions;
  const { estimatedEndTime: _, ...rest } = status;
  const leftMs = followed === undefined ? undefined : remainingMs(memory, followed, percent, nowMs);
  return {
    ...rest,
    bytesTotal: total,
    bytesDone: Math.round(total * share),
    progressPercent: Math.floor(share * 100),
    ...(leftMs === undefined
      ? {}
      : { estimatedEndTime: new Date(wallMs + leftMs * Math.max(1, additions - finished)).toISOString() }),
  };
}

function additionsOf(spec: Journal["spec"], { baseline }: MigrationStatus): number {
  if (spec.preservationMode) return spec.replicas.length;
  const leaving = new Set(spec.replicas.map(({ replicaUuid }) => replicaUuid));
  const keepers = (baseline?.replicas ?? []).filter(({ replicaUuid }) => !leaving.has(replicaUuid)).length;
  return Math.max(0, spec.finalReplicaCount - keepers);
}

/** By the pace since the first look at this rebuild; undefined before it has moved. */
function remainingMs(memory: Memory, replica: string, percent: number, nowMs: number): number | undefined {
  const { pace } = memory;
  if (pace?.replica !== replica || percent < pace.percent) {
    memory.pace = { replica, percent, atMs: nowMs };
    return undefined;
  }
  const moved = percent - pace.percent;
  return moved <= 0 ? undefined : ((100 - percent) * (nowMs - pace.atMs)) / moved;
}
