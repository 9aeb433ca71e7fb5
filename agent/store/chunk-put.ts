/** PUT: the incoming image is checked in full before anything is written; a name that is used is either done already, or refused. */
import type { ChunkInfo, PutAnswer } from "@couchestor/common/api/chunks.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { chunkBytesMax, type DecodedChunk, decodeChunkHeader } from "./chunk-format.ts";
import { formatName } from "./chunk-identity.ts";
import { type ChunkPlace, flagRecovered } from "./chunk-index.ts";
import { readWholeAt } from "./chunk-reader.ts";
import type { CommitQueue, LogOperation } from "./commit-queue.ts";
import type { Pool } from "./pool.ts";
import { headerBytesMax, stampHeader } from "./record-format.ts";
import { badBlocks } from "./record-verify.ts";
import type { SpaceGuard } from "./space.ts";

/** Images up to this are copied, so that a group of small ones is one buffer each. */
const copiedBytesMax = 64 * 1024;
/** How often a put looks again when the same name changes under it. */
const attemptsMax = 8;

function refuse(message: string, field: string, cause?: unknown): AppError {
  return new AppError("InvalidArgument", `chunk image: ${message}; nothing was stored`, { data: { field }, cause });
}

/** Checks an image in full: header, lengths, every block. */
export function checkImage(pool: Pool, image: Uint8Array): DecodedChunk {
  if (image.byteLength > headerBytesMax + chunkBytesMax)
    throw new AppError(
      "TooLarge",
      `chunk image: got ${image.byteLength} bytes, at most ${headerBytesMax + chunkBytesMax} are allowed`,
    );
  let decoded: DecodedChunk;
  try {
    decoded = decodeChunkHeader(image, pool.checksum);
  } catch (error) {
    if (isAppError(error, "ChunkCorrupt")) throw refuse(error.message, String(error.data["field"]), error);
    throw error;
  }
  const expected = decoded.headerBytes + decoded.bodyBytes;
  if (image.byteLength !== expected)
    throw refuse(`got ${image.byteLength} bytes, its header says ${expected}`, "length");
  if (expected > pool.medium.recordBytesMax)
    throw new AppError(
      "TooLarge",
      `chunk image: got ${expected} bytes, pool ${pool.name} takes at most ${pool.medium.recordBytesMax}`,
    );
  const bad = badBlocks(image, image.subarray(decoded.headerBytes), 0, pool.checksum);
  if (bad.length > 0) throw refuse(`${bad.length} blocks do not match their checksums, first: ${bad[0]}`, "data");
  return decoded;
}

function checkCluster(pool: Pool, info: ChunkInfo): void {
  const { clusterUuid } = pool.medium.superblock;
  if (info.clusterUuid === clusterUuid && clusterUuid !== zeroUuid) return;
  const what = clusterUuid === zeroUuid ? "is not bound to a cluster yet" : `belongs to cluster ${clusterUuid}`;
  throw new AppError("WrongCluster", `chunk of cluster ${info.clusterUuid}: pool ${pool.name} ${what}`, {
    data: { field: "clusterUuid", got: info.clusterUuid, allowed: clusterUuid },
  });
}

/** Stores a chunk; durable and read back on return. Errors as `ChunkStore.put`. */
export async function putChunk(
  parts: { pool: Pool; queue: CommitQueue; space: SpaceGuard },
  image: Uint8Array,
): Promise<PutAnswer> {
  const { pool, queue, space } = parts;
  const decoded = checkImage(pool, image);
  const { info } = decoded;
  checkCluster(pool, info);
  for (let attempt = 0; attempt < attemptsMax; attempt++) {
    pool.health.checkWritable();
    const row = pool.map.index.findName(info);
    const existing = row < 0 ? undefined : pool.map.index.placeAt(row);
    if (existing && (await isStored(pool, decoded, existing))) return { tableCrc: info.tableCrc, alreadyThere: true };
    await space.admit(image.byteLength);
    if (await queue.submit(putOperation(pool, decoded, image, existing)))
      return { tableCrc: info.tableCrc, alreadyThere: false };
  }
  throw new AppError("Unavailable", `chunk ${formatName(info)}: others keep changing it; try again`);
}

/**
 * Whether the chunk at `place` is this one, whole. False: it is damaged, or may not be durable, and is to be written again.
 * Throws `NameReused` if it is another.
 */
async function isStored(pool: Pool, incoming: DecodedChunk, place: ChunkPlace): Promise<boolean> {
  const { info } = incoming;
  const same = place.tableCrc === info.tableCrc && place.blockCount === incoming.crcs.length;
  if (!same) throw reused(info, "other data");
  try {
    const stored = await readWholeAt(pool, info, place);
    const differs = contentFields.find((field) => JSON.stringify(stored.info[field]) !== JSON.stringify(info[field]));
    if (differs) throw reused(info, `another ${differs}`);
    if (stored.crcs.some((crc, i) => crc !== incoming.crcs[i])) throw reused(info, "other data");
  } catch (error) {
    if (isAppError(error, "NameReused")) throw error;
    pool.log.warn("a stored chunk does not verify and is written again", {
      pool: pool.name,
      chunk: formatName(info),
      error: String(error),
    });
    return false;
  }
  return (place.flags & flagRecovered) === 0;
}

/** What makes a chunk another one. Not: the pool, and what is advisory and may be of another moment. */
const contentFields = [
  "clusterUuid",
  "journalId",
  "originVolumeUuid",
  "throughSeq",
  "code",
  "matrixId",
  "stripeBytes",
  "shardBytes",
  "storedBytes",
  "stripeDigest",
] as const satisfies readonly (keyof ChunkInfo)[];

function reused(info: ChunkInfo, what: string): AppError {
  return new AppError(
    "NameReused",
    `chunk ${formatName(info)}: the name is used for ${what}; a name is used once; nothing was changed`,
    {
      data: { field: "name", got: formatName(info) },
    },
  );
}

/** Resolves to false if the name has changed hands since it was looked up. */
function putOperation(
  pool: Pool,
  decoded: DecodedChunk,
  image: Uint8Array,
  replaces: ChunkPlace | undefined,
): LogOperation<boolean> {
  const { info, headerBytes, crcs } = decoded;
  return {
    bytes: image.byteLength,
    names: [formatName(info)],
    plan: (place, arena) => {
      const row = pool.map.index.findName(info);
      const now = row < 0 ? undefined : pool.map.index.placeAt(row);
      if (now && (now.segmentId !== replaces?.segmentId || now.offset !== replaces.offset))
        return { buffers: [], apply: () => false };
      pool.map.index.checkRoom(info);
      const whole = image.byteLength <= copiedBytesMax;
      const head = arena.take(whole ? image.byteLength : headerBytes);
      head.set(whole ? image : image.subarray(0, headerBytes));
      const stamp = {
        poolUuid: pool.medium.superblock.poolUuid,
        segmentId: place.segmentId,
        segmentOffset: place.offset,
      };
      stampHeader(head, stamp, pool.checksum);
      return {
        buffers: whole ? [head] : [head, image.subarray(headerBytes)],
        apply: () => pool.map.applyChunk({ name: info, blockCount: crcs.length, tableCrc: info.tableCrc }, place, 0),
      };
    },
  };
}
