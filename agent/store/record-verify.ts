/** Reads a range of records back and checks every checksum in it: the last step before a write is answered. */
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { chunkTableOffset } from "./chunk-format.ts";
import type { Pool } from "./pool.ts";
import type { Place } from "./pool-map.ts";
import { corrupt, readPrefix, recordType, viewOf } from "./record-format.ts";

/** Throws `ChunkCorrupt` if what lies between `from` and `endOffset` are not whole, valid records, one behind the other. */
export async function verifyRecords(
  pool: Pick<Pool, "medium" | "checksum">,
  from: Place,
  endOffset: number,
): Promise<void> {
  const bytes = scratch(endOffset - from.offset);
  const count = await pool.medium.read(from.segmentId, bytes, from.offset);
  if (count !== bytes.byteLength) throw corrupt("read back", `${count} bytes`, `${bytes.byteLength}`);
  let at = 0;
  while (at < bytes.byteLength) {
    const record = bytes.subarray(at);
    const prefix = readPrefix(record, pool.checksum);
    if (prefix.segmentOffset !== from.offset + at || prefix.segmentId !== from.segmentId)
      throw corrupt(
        "read back: place",
        `${prefix.segmentId}:${prefix.segmentOffset}`,
        `${from.segmentId}:${from.offset + at}`,
      );
    const end = prefix.headerBytes + prefix.bodyBytes;
    if (end > record.byteLength) throw corrupt("read back: length", end, `at most ${record.byteLength}`);
    if (prefix.type === recordType.chunk) {
      const bad = badBlocks(
        record.subarray(0, prefix.headerBytes),
        record.subarray(prefix.headerBytes, end),
        0,
        pool.checksum,
      );
      if (bad.length > 0) throw corrupt("read back: blocks", bad.slice(0, 16).join(", "), "none");
    }
    at += end;
  }
}

/** Memory that is filled before it is read. */
export function scratch(bytes: number): Uint8Array {
  return Buffer.allocUnsafeSlow(bytes);
}

/** Which blocks of `data` differ from the CRC table in a chunk's header; the first block of `data` is block `firstBlock` of the chunk. */
export function badBlocks(header: Uint8Array, data: Uint8Array, firstBlock: number, checksum: Checksum): number[] {
  const whole = Math.floor(data.byteLength / blockBytes);
  const crcs = new Uint32Array(whole);
  checksum.crc32cBlocks(data.subarray(0, whole * blockBytes), crcs);
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
