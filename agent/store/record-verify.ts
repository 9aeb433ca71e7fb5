/** Reads a range of records back and checks every checksum in it: the last step before a write is answered. */
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { chunkTableOffset } from "./chunk-format.ts";
import type { Pool } from "./pool.ts";
import type { Place } from "./pool-map.ts";
import { corrupt, readPrefix, recordType, viewOf } from "./record-format.ts";

/** Records are read together up to this; a longer one alone. */
const windowBytes = 2 ** 20;

/**
 * Throws `ChunkCorrupt` if what lies from `from` on is not valid records of these lengths, one behind the other. `window` is memory of
 * `windowBytes` that the caller keeps for the next time.
 */
export async function verifyRecords(
  pool: Pick<Pool, "medium" | "checksum">,
  from: Place,
  lengths: readonly number[],
  window: Uint8Array = scratch(windowBytes),
): Promise<void> {
  let offset = from.offset;
  for (let first = 0; first < lengths.length; ) {
    let count = 0;
    let total = 0;
    while (
      first + count < lengths.length &&
      (count === 0 || total + (lengths[first + count] ?? 0) <= window.byteLength)
    )
      total += lengths[first + count++] ?? 0;
    const bytes = total <= window.byteLength ? window.subarray(0, total) : scratch(total);
    const got = await pool.medium.read(from.segmentId, bytes, offset);
    if (got !== total) throw corrupt("read back", `${got} bytes`, `${total}`);
    let at = 0;
    for (const length of lengths.slice(first, first + count)) {
      verifyRecord(pool.checksum, bytes.subarray(at, at + length), { segmentId: from.segmentId, offset: offset + at });
      at += length;
    }
    offset += total;
    first += count;
  }
}

function verifyRecord(checksum: Checksum, record: Uint8Array, place: Place): void {
  const prefix = readPrefix(record, checksum);
  if (prefix.segmentOffset !== place.offset || prefix.segmentId !== place.segmentId)
    throw corrupt(
      "read back: place",
      `${prefix.segmentId}:${prefix.segmentOffset}`,
      `${place.segmentId}:${place.offset}`,
    );
  if (prefix.headerBytes + prefix.bodyBytes !== record.byteLength)
    throw corrupt("read back: length", prefix.headerBytes + prefix.bodyBytes, `${record.byteLength}`);
  if (prefix.type !== recordType.chunk) return;
  const bad = badBlocks(record, record.subarray(prefix.headerBytes), 0, checksum);
  if (bad.length > 0) throw corrupt("read back: blocks", bad.slice(0, 16).join(", "), "none");
}

/** Memory for `verifyRecords`. */
export function verifyWindow(): Uint8Array {
  return scratch(windowBytes);
}

/** Memory that is filled before it is read. Not a `Buffer`, whose views cost several times as much. */
export function scratch(bytes: number): Uint8Array {
  return new Uint8Array(Buffer.allocUnsafeSlow(bytes).buffer);
}

/**
 * Which blocks of `data` differ from the CRC table in a chunk's header; the first block of `data` is block `firstBlock` of the chunk.
 * `header` begins with the header; what is behind it is not looked at.
 */
export function badBlocks(header: Uint8Array, data: Uint8Array, firstBlock: number, checksum: Checksum): number[] {
  const whole = Math.floor(data.byteLength / blockBytes);
  const crcs = new Uint32Array(whole);
  const torn = data.byteLength !== whole * blockBytes;
  checksum.crc32cBlocks(torn ? data.subarray(0, whole * blockBytes) : data, crcs);
  const view = viewOf(header);
  const bad: number[] = [];
  for (let i = 0; i < whole; i++) {
    if (crcs[i] !== view.getUint32(chunkTableOffset + 4 * (firstBlock + i), true)) bad.push(firstBlock + i);
  }
  return bad;
}

/** The error for a chunk whose blocks do not verify. */
export function corruptBlocks(name: string, bad: readonly number[]): AppError {
  const shown = bad.slice(0, 16);
  return new AppError("ChunkCorrupt", `chunk ${name}: ${bad.length} blocks do not verify, first: ${shown.join(", ")}`, {
    data: { blocks: shown, count: bad.length },
  });
}
