/** Reads chunks: every byte that leaves here was checked against the CRC table of its own header, and the header against its CRC and name. */
import type { ChunkInfo, ChunkKey, ChunkName } from "@couchestor/common/api/chunks.ts";
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { chunkHeaderBytes, chunkTableOffset, decodeChunkHeader } from "./chunk-format.ts";
import { formatName, readChunkIdentity, sameName } from "./chunk-identity.ts";
import type { ChunkPlace } from "./chunk-index.ts";
import type { Pool } from "./pool.ts";
import type { VerifiedBlocks } from "./ports.ts";
import { corrupt, readPrefix, recordType, viewOf } from "./record-format.ts";
import { badBlocks, corruptBlocks, scratch } from "./record-verify.ts";

/** Header and data are read in one go if the data wanted begins within so much of the header. */
const gapBytesMax = 128 * 1024;
/** A chunk that moves while it is read is looked up again, so often at most. */
const movesMax = 8;

function outOfRange(field: string, got: number, allowed: string): AppError {
  return new AppError("InvalidArgument", `${field}: got ${got}, allowed: ${allowed}`, {
    data: { field, got, allowed },
  });
}

/** Blocks of any intact copy with this key. Throws `ChunkAbsent`, `ChunkCorrupt`, `Unavailable` or `InvalidArgument`. */
export async function getBlocks(pool: Pool, key: ChunkKey, first: number, count: number): Promise<VerifiedBlocks> {
  const names = pool.map.index.findKey(key).map((row) => pool.map.index.nameAt(row));
  let failure: unknown;
  for (const name of names) {
    try {
      const blocks = await atItsPlace(pool, name, (place) => readBlocks(pool, name, place, first, count));
      if (blocks) return blocks;
    } catch (error) {
      // A damaged copy is worse news than one that could not be read now.
      if (!(failure instanceof AppError) || failure.code !== "ChunkCorrupt") failure = error;
      if (error instanceof AppError && error.code === "InvalidArgument") throw error;
    }
  }
  if (failure) throw readError(pool, failure);
  throw new AppError("ChunkAbsent", `chunk ${formatKey(key)} is not in pool ${pool.name}`, {
    data: { pool: pool.name },
  });
}

function formatKey(key: ChunkKey): string {
  return `${key.volumeUuid}/${key.stripe}/${key.shardIndex}/${key.generation}/${key.encodeEpoch}.${key.encodeAct}`;
}

/** What a caller is told of a failed read. */
export function readError(pool: Pool, error: unknown): unknown {
  if (!(error instanceof FileSystemError)) return error;
  return new AppError("Unavailable", `pool ${pool.name}: ${error.message}`, {
    cause: error,
    data: { errno: error.code },
  });
}

/**
 * Runs `read` where the index says that the chunk lies. If it fails and the chunk lies elsewhere by now (compaction), tries there.
 * Undefined if the chunk is not indexed (any more).
 */
async function atItsPlace<T>(
  pool: Pool,
  name: ChunkName,
  read: (place: ChunkPlace) => Promise<T>,
): Promise<T | undefined> {
  let before: ChunkPlace | undefined;
  let failure: unknown;
  for (let move = 0; move < movesMax; move++) {
    const row = pool.map.index.findName(name);
    if (row < 0) return undefined;
    const place = pool.map.index.placeAt(row);
    if (before && before.segmentId === place.segmentId && before.offset === place.offset) throw failure;
    before = place;
    try {
      return await read(place);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

async function readExactly(pool: Pool, place: ChunkPlace, at: number, length: number): Promise<Uint8Array> {
  const bytes = scratch(length);
  try {
    const count = await pool.medium.read(place.segmentId, bytes, place.offset + at);
    return count === length ? bytes : bytes.subarray(0, count);
  } catch (error) {
    // The segment's file is gone although the pool is there: the chunk is lost here, and can be repaired like any damaged one.
    if (!(error instanceof FileSystemError && error.code === "ENOENT")) throw error;
    await pool.medium.checkPresent(undefined);
    throw corrupt("segment", `${place.segmentId} is missing`, "a segment");
  }
}

/** Checks that these bytes are the header of exactly this chunk at this place. */
function checkHeader(pool: Pool, header: Uint8Array, name: ChunkName, place: ChunkPlace): void {
  const prefix = readPrefix(header, pool.checksum);
  if (prefix.type !== recordType.chunk) throw corrupt("recordType", prefix.type, "a chunk");
  if (prefix.segmentId !== place.segmentId || prefix.segmentOffset !== place.offset)
    throw corrupt("place", `${prefix.segmentId}:${prefix.segmentOffset}`, `${place.segmentId}:${place.offset}`);
  const identity = readChunkIdentity(header);
  if (!sameName(identity.name, name)) throw corrupt("name", formatName(identity.name), formatName(name));
  if (identity.tableCrc !== place.tableCrc) throw corrupt("tableCrc", identity.tableCrc, `${place.tableCrc}`);
}

async function readBlocks(
  pool: Pool,
  name: ChunkName,
  place: ChunkPlace,
  first: number,
  count: number,
): Promise<VerifiedBlocks> {
  if (!Number.isInteger(first) || first < 0 || first >= place.blockCount)
    throw outOfRange("firstBlock", first, `0 … ${place.blockCount - 1}`);
  if (!Number.isInteger(count) || count < 1 || first + count > place.blockCount)
    throw outOfRange("blockCount", count, `1 … ${place.blockCount - first}`);
  const headerBytes = chunkHeaderBytes(place.blockCount);
  const dataAt = headerBytes + first * blockBytes;
  const dataBytes = count * blockBytes;
  let header: Uint8Array;
  let bytes: Uint8Array;
  if (first * blockBytes <= gapBytesMax) {
    header = await readExactly(pool, place, 0, dataAt + dataBytes);
    bytes = header.subarray(dataAt);
  } else {
    [header, bytes] = await Promise.all([
      readExactly(pool, place, 0, headerBytes),
      readExactly(pool, place, dataAt, dataBytes),
    ]);
  }
  checkHeader(pool, header, name, place);
  const bad = badBlocks(header, bytes, first, pool.checksum);
  for (let block = Math.floor(bytes.byteLength / blockBytes); block < count; block++) bad.push(first + block);
  if (bad.length > 0) throw corruptBlocks(formatName(name), bad);
  const crcs = new Uint32Array(count);
  const view = viewOf(header);
  for (let i = 0; i < count; i++) crcs[i] = view.getUint32(chunkTableOffset + 4 * (first + i), true);
  return { crcs, bytes };
}

export interface WholeChunk {
  info: ChunkInfo;
  crcs: Uint32Array;
  header: Uint8Array;
  data: Uint8Array;
}

/** Reads a whole chunk from the medium, past the page cache, and checks everything. Undefined if it is not indexed (any more). */
export function readWhole(pool: Pool, name: ChunkName): Promise<WholeChunk | undefined> {
  return atItsPlace(pool, name, (place) => readWholeAt(pool, name, place));
}

/** The same at a known place. */
export async function readWholeAt(pool: Pool, name: ChunkName, place: ChunkPlace): Promise<WholeChunk> {
  try {
    await pool.medium.dropCache(place.segmentId);
  } catch (error) {
    if (!(error instanceof FileSystemError && error.code === "ENOENT")) throw error;
  }
  const headerBytes = chunkHeaderBytes(place.blockCount);
  const bytes = await readExactly(pool, place, 0, headerBytes + place.blockCount * blockBytes);
  const header = bytes.subarray(0, headerBytes);
  checkHeader(pool, header, name, place);
  const { info, crcs } = decodeChunkHeader(header, pool.checksum);
  const data = bytes.subarray(headerBytes);
  const bad = badBlocks(header, data, 0, pool.checksum);
  for (let block = Math.floor(data.byteLength / blockBytes); block < place.blockCount; block++) bad.push(block);
  if (bad.length > 0) throw corruptBlocks(formatName(name), bad);
  return { info, crcs, header, data };
}

/** The header alone, if it can be read and is this chunk's. */
export async function readInfo(pool: Pool, name: ChunkName): Promise<ChunkInfo | undefined> {
  try {
    return await atItsPlace(pool, name, async (place) => {
      const header = await readExactly(pool, place, 0, chunkHeaderBytes(place.blockCount));
      checkHeader(pool, header, name, place);
      return decodeChunkHeader(header, pool.checksum).info;
    });
  } catch {
    return undefined;
  }
}
