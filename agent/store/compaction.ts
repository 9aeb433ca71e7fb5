/**
 * Compaction: what is live in a segment is copied to the end of the log, verified before and after, and durable, before the segment goes.
 *
 * Crash points, each tested: K1 some chunks copied: both places hold them, the later one counts. K2 all copied, the segment still there: the
 * same. K3 removed, the removal not durable: as K2. K4 removed.
 *
 * A delete entry is kept while any segment exists whose id is at most that of the segment where its chunk died: no older copy of the
 * chunk can be anywhere else. A segment with a live chunk that does not verify stays as it is, until a repair has replaced that chunk; one
 * with blocks that could not be read stays too, since a chunk in them may be live without being known.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { chunkRecordBytes, formatName } from "./chunk-identity.ts";
import type { ChunkPlace } from "./chunk-index.ts";
import { readWholeAt, type WholeChunk } from "./chunk-reader.ts";
import type { CommitQueue, LogOperation } from "./commit-queue.ts";
import { type BoundDeleteEntry, deleteEntriesMax, deleteRecordBytes, encodeDelete } from "./delete-format.ts";
import { noteDamage, type Pool } from "./pool.ts";
import { stampHeader } from "./record-format.ts";
import { type ScannedRecord, scanSegment, unreadable } from "./record-scanner.ts";
import type { SegmentLog } from "./segment-log.ts";

export interface CompactionParts {
  pool: Pool;
  queue: CommitQueue;
  log: SegmentLog;
}

export interface CompactionResult {
  /** Segments that were removed. */
  removed: number[];
  /** Segments that hold a live chunk which does not verify, and were left. */
  left: number[];
  copiedBytes: number;
}

/** Copies in flight at a time. */
const copiesAtOnce = 8;

/** The segments worth compacting, those with the most garbage first. Pure. */
export function compactionVictims(pool: Pool, activeSegmentId: number | undefined, garbageRatio: number): number[] {
  const victims: { segmentId: number; ratio: number }[] = [];
  for (const [segmentId, account] of pool.map.segments) {
    if (segmentId === activeSegmentId || pool.medium.isFixed?.(segmentId)) continue;
    const length = pool.medium.kind === "directory" ? account.sizeBytes : pool.medium.segmentBytes;
    const ratio = pool.map.garbageBytes(segmentId, length) / Math.max(1, length);
    if (ratio >= garbageRatio) victims.push({ segmentId, ratio });
  }
  return victims.sort((a, b) => b.ratio - a.ratio).map((victim) => victim.segmentId);
}

/** Compacts each segment in turn; stops when `signal` aborts. Throws if the medium cannot be read or written. */
export async function compactSegments(
  parts: CompactionParts,
  segmentIds: readonly number[],
  signal?: AbortSignal,
): Promise<CompactionResult> {
  const result: CompactionResult = { removed: [], left: [], copiedBytes: 0 };
  for (const segmentId of segmentIds) {
    if (signal?.aborted) break;
    const emptied = await compactSegment(parts, segmentId, result, signal);
    (emptied ? result.removed : result.left).push(segmentId);
  }
  return result;
}

async function compactSegment(
  parts: CompactionParts,
  segmentId: number,
  result: CompactionResult,
  signal?: AbortSignal,
): Promise<boolean> {
  const { pool, log } = parts;
  const { medium, map } = pool;
  const account = map.segments.get(segmentId);
  if (!account || segmentId === log.activeSegmentId || medium.isFixed?.(segmentId)) return false;
  const isUnread = () => pool.damage.some((range) => range.segmentId === segmentId && range.what === unreadable);
  if (isUnread()) return false;
  const deletesNeeded = map.oldestSegment(segmentId) <= account.deadSegmentMax;
  if (account.liveCount > 0 || deletesNeeded) {
    const scan = await scanSegment({
      medium,
      checksum: pool.checksum,
      segmentId,
      fromOffset: 0,
      toOffset: account.sizeBytes,
    });
    for (const range of scan.damage) if (range.what !== "end") noteDamage(pool, range);
    for (let i = 0; i < scan.records.length; i += copiesAtOnce) {
      if (signal?.aborted) return false;
      const copied = await Promise.all(
        scan.records.slice(i, i + copiesAtOnce).map((record) => copyChunk(parts, segmentId, record)),
      );
      const bytes = copied.reduce((sum, count) => sum + count, 0);
      result.copiedBytes += bytes;
      await pool.clock.sleep((bytes * 2000) / pool.limits.compactBytesPerSecond);
    }
    await copyDeletes(parts, segmentId, scan.records);
  }
  if (account.liveCount > 0 || isUnread()) return false;
  try {
    pool.health.checkWritable();
    await medium.remove(segmentId);
  } catch (error) {
    if (error instanceof FileSystemError) pool.health.stopWrites("removing a segment failed", error);
    throw error;
  }
  map.segments.delete(segmentId);
  return true;
}

/** Copies a chunk if it is live and whole. Returns how many bytes were copied. */
async function copyChunk({ pool, queue }: CompactionParts, segmentId: number, record: ScannedRecord): Promise<number> {
  if (record.kind !== "chunk") return 0;
  const { name } = record.chunk;
  const row = pool.map.index.findName(name);
  if (row < 0) return 0;
  const from = pool.map.index.placeAt(row);
  if (from.segmentId !== segmentId || from.offset !== record.offset) return 0;
  let chunk: WholeChunk;
  try {
    chunk = await readWholeAt(pool, name, from);
  } catch (error) {
    if (!(error instanceof AppError && error.code === "ChunkCorrupt")) throw error;
    noteDamage(pool, {
      segmentId,
      fromOffset: record.offset,
      toOffset: record.offset + record.recordBytes,
      what: error.message,
    });
    return 0;
  }
  return queue.submit(moveOperation(pool, from, chunk));
}

function moveOperation(pool: Pool, from: ChunkPlace, chunk: WholeChunk): LogOperation<number> {
  const bytes = chunkRecordBytes(from.blockCount);
  return {
    bytes,
    names: [formatName(chunk.info)],
    plan: (place) => {
      const row = pool.map.index.findName(chunk.info);
      const now = row < 0 ? undefined : pool.map.index.placeAt(row);
      // Deleted, or written again elsewhere, since it was read.
      if (now?.segmentId !== from.segmentId || now.offset !== from.offset) return { buffers: [], apply: () => 0 };
      const header = chunk.header.slice();
      const stamp = {
        poolUuid: pool.medium.superblock.poolUuid,
        segmentId: place.segmentId,
        segmentOffset: place.offset,
      };
      stampHeader(header, stamp, pool.checksum);
      return {
        buffers: [header, chunk.data],
        apply: () => {
          pool.map.applyChunk({ name: chunk.info, blockCount: from.blockCount, tableCrc: from.tableCrc }, place, 0);
          return bytes;
        },
      };
    },
  };
}

/** Writes again the delete entries that may still have a copy to kill, packed. */
async function copyDeletes(
  { pool, queue }: CompactionParts,
  segmentId: number,
  records: readonly ScannedRecord[],
): Promise<void> {
  const oldest = pool.map.oldestSegment(segmentId);
  const needed: BoundDeleteEntry[] = [];
  for (const record of records) {
    if (record.kind === "delete") needed.push(...record.entries.filter((entry) => oldest <= entry.deadSegment));
  }
  for (let i = 0; i < needed.length; i += deleteEntriesMax) {
    const entries = needed.slice(i, i + deleteEntriesMax);
    await queue.submit({
      bytes: deleteRecordBytes(entries.length),
      names: [],
      plan: (place) => {
        const at = {
          poolUuid: pool.medium.superblock.poolUuid,
          segmentId: place.segmentId,
          segmentOffset: place.offset,
        };
        const record = encodeDelete(entries, at, pool.checksum);
        return {
          buffers: [record],
          apply: () => pool.map.accountDeletes(place.segmentId, record.byteLength, entries),
        };
      },
    });
  }
}
