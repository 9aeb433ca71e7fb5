/**
 * Pages through what a pool holds, in the order of the log. A chunk that compaction moves meanwhile goes to the end, so it may be seen twice
 * but is never missed. The cursor is the place behind the last record seen and survives restarts.
 */
import type { ChunkInfo } from "@couchestor/common/api/chunks.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { readInfo, readWholeAt } from "./chunk-reader.ts";
import { noteDamage, type Pool } from "./pool.ts";
import type { Place } from "./pool-map.ts";
import type { ChunkState } from "./ports.ts";
import { type ScannedRecord, type SegmentScan, scanSegment } from "./record-scanner.ts";

export const listLimitMax = 1024;

export interface ListPage {
  chunks: { info: ChunkInfo; state?: ChunkState }[];
  next?: string;
}

function parseCursor(after: string | undefined): Place {
  if (after === undefined) return { segmentId: 0, offset: 0 };
  const match = /^([0-9a-f]{1,8})-([0-9a-f]{1,8})$/.exec(after);
  if (!match?.[1] || !match[2])
    throw new AppError("InvalidArgument", `after: got "${after}", allowed: what an earlier page gave as next`);
  return { segmentId: Number.parseInt(match[1], 16), offset: Number.parseInt(match[2], 16) };
}

/** One page of at most `limit` chunks. `verify` reads each chunk's data from the medium too. */
export async function listChunks(
  pool: Pool,
  options: { after?: string | undefined; limit: number; verify?: boolean },
): Promise<ListPage> {
  const { limit } = options;
  if (!Number.isInteger(limit) || limit < 1 || limit > listLimitMax)
    throw new AppError("InvalidArgument", `limit: got ${limit}, allowed: 1 … ${listLimitMax}`);
  const from = parseCursor(options.after);
  const page: ListPage = { chunks: [] };
  for (const segmentId of [...pool.map.segments.keys()]) {
    if (segmentId < from.segmentId) continue;
    let offset = segmentId === from.segmentId ? from.offset : 0;
    for (;;) {
      const scan = await scanPart(pool, segmentId, offset, limit);
      for (const record of scan?.records ?? []) {
        const entry = await listEntry(pool, segmentId, record, options.verify ?? false);
        offset = record.offset + record.recordBytes;
        if (!entry) continue;
        page.chunks.push(entry);
        if (page.chunks.length === limit) return { ...page, next: `${segmentId.toString(16)}-${offset.toString(16)}` };
      }
      if ((scan?.records.length ?? 0) < limit) break;
    }
  }
  return page;
}

async function scanPart(
  pool: Pool,
  segmentId: number,
  fromOffset: number,
  recordsMax: number,
): Promise<SegmentScan | undefined> {
  const account = pool.map.segments.get(segmentId);
  if (!account || fromOffset >= account.sizeBytes) return undefined;
  const { medium, checksum } = pool;
  try {
    const scan = await scanSegment({
      medium,
      checksum,
      segmentId,
      fromOffset,
      toOffset: account.sizeBytes,
      recordsMax,
    });
    for (const range of scan.damage) if (range.what !== "end") noteDamage(pool, range);
    return scan;
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error;
    // Compacted away while we looked: what was live in it is further on.
    if (!pool.map.segments.has(segmentId)) return undefined;
    throw new AppError("Unavailable", `pool ${pool.name}: ${error.message}`, { cause: error });
  }
}

async function listEntry(
  pool: Pool,
  segmentId: number,
  record: ScannedRecord,
  verify: boolean,
): Promise<{ info: ChunkInfo; state?: ChunkState } | undefined> {
  if (record.kind !== "chunk") return undefined;
  const row = pool.map.index.findName(record.chunk.name);
  const place = row < 0 ? undefined : pool.map.index.placeAt(row);
  if (place?.segmentId !== segmentId || place.offset !== record.offset) return undefined;
  if (!verify) {
    const info = await readInfo(pool, record.chunk.name);
    return info && { info };
  }
  try {
    return { info: (await readWholeAt(pool, record.chunk.name, place)).info, state: "ok" };
  } catch (error) {
    const info = await readInfo(pool, record.chunk.name);
    return info && { info, state: stateOf(error) };
  }
}

/** What a failed read says of the chunk. */
export function stateOf(error: unknown): ChunkState {
  return error instanceof AppError && error.code === "ChunkCorrupt" ? "corrupt" : "error";
}
