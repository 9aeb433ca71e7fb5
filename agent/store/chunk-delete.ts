/** DELETE: exactly the copies named, in full [X1]; those that are not here need no record. */
import type { ChunkName, DeleteRequest } from "@couchestor/common/api/chunks.ts";
import { chunksPerRequestMax } from "@couchestor/common/api/chunks.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { formatName } from "./chunk-identity.ts";
import type { CommitQueue, LogOperation } from "./commit-queue.ts";
import { type DeleteEntry, deleteEntriesMax, deleteRecordBytes, encodeDelete } from "./delete-format.ts";
import type { Pool } from "./pool.ts";

/** Deletes the copies named; the records of it are durable on return. */
export async function deleteChunks(
  parts: { pool: Pool; queue: CommitQueue },
  request: DeleteRequest,
): Promise<{ deleted: number; absent: number }> {
  const { names } = request;
  if (names.length > chunksPerRequestMax)
    throw new AppError("InvalidArgument", `names: got ${names.length}, at most ${chunksPerRequestMax} are allowed`);
  const batches: ChunkName[][] = [];
  for (let i = 0; i < names.length; i += deleteEntriesMax) batches.push(names.slice(i, i + deleteEntriesMax));
  const counts = await Promise.all(
    batches.map((batch) => parts.queue.submit(deleteOperation(parts.pool, request, batch))),
  );
  const deleted = counts.reduce((sum, count) => sum + count, 0);
  return { deleted, absent: names.length - deleted };
}

/** Resolves to how many were there. */
function deleteOperation(pool: Pool, request: DeleteRequest, names: readonly ChunkName[]): LogOperation<number> {
  return {
    bytes: deleteRecordBytes(names.length),
    names: names.map(formatName),
    plan: (place) => {
      const rows = new Set<number>();
      for (const name of names) rows.add(pool.map.index.findName(name));
      rows.delete(-1);
      const entries: DeleteEntry[] = [...rows].map((row) => ({
        name: pool.map.index.nameAt(row),
        orderedBy: request.orderedBy,
        reason: request.reason,
        deadSegment: pool.map.index.placeAt(row).segmentId,
      }));
      if (entries.length === 0) return { buffers: [], apply: () => 0 };
      const at = { poolUuid: pool.medium.superblock.poolUuid, segmentId: place.segmentId, segmentOffset: place.offset };
      const record = encodeDelete(entries, at, pool.checksum);
      return {
        buffers: [record],
        apply: () => {
          pool.map.accountDeletes(place.segmentId, record.byteLength, entries);
          return entries.filter((entry) => pool.map.applyDelete(entry.name, place)).length;
        },
      };
    },
  };
}
