/**
 * CRC32C in plain TypeScript, slicing by eight: what every machine can compute, and what the native one is checked against.
 * Polynomial 0x1EDC6F41, reflected 0x82F63B78, initial and final value inverted (RFC 3720, section 12.1).
 */
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "./ports.ts";

const reflectedPolynomial = 0x82f63b78;
const slices = 8;

/** Eight tables of 256 entries, one after another: table s gives the effect of a byte that lies s bytes before the end. */
function buildTables(): Int32Array {
  const tables = new Int32Array(slices * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ reflectedPolynomial : crc >>> 1;
    tables[byte] = crc;
  }
  for (let i = 256; i < tables.length; i++) {
    const before = tables[i - 256] as number;
    tables[i] = (before >>> 8) ^ (tables[before & 0xff] as number);
  }
  return tables;
}

const tables = buildTables();

const entry = (index: number): number => tables[index] as number;

/** CRC32C of `bytes[start, end)`, continuing `seed`, an earlier result (0 to begin). */
export function crc32cRange(bytes: Uint8Array, start: number, end: number, seed = 0): number {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let crc = ~seed;
  let i = start;
  for (; i + slices <= end; i += slices) {
    const low = crc ^ view.getInt32(i, true);
    const high = view.getInt32(i + 4, true);
    crc =
      entry(1792 + (low & 0xff)) ^
      entry(1536 + ((low >>> 8) & 0xff)) ^
      entry(1280 + ((low >>> 16) & 0xff)) ^
      entry(1024 + (low >>> 24)) ^
      entry(768 + (high & 0xff)) ^
      entry(512 + ((high >>> 8) & 0xff)) ^
      entry(256 + ((high >>> 16) & 0xff)) ^
      entry(high >>> 24);
  }
  for (; i < end; i++) crc = (crc >>> 8) ^ entry((crc ^ view.getUint8(i)) & 0xff);
  return ~crc >>> 0;
}

/** Throws `InvalidArgument` unless `bytes` is whole blocks and `out` has one place for each. */
export function checkBlocks(bytes: Uint8Array, out: Uint32Array): void {
  if (bytes.length % blockBytes === 0 && out.length === bytes.length / blockBytes) return;
  throw new AppError(
    "InvalidArgument",
    `bytes: got ${bytes.length} bytes and ${out.length} places for checksums; allowed: a multiple of ${blockBytes} bytes and one place for each ${blockBytes}`,
    { data: { field: "bytes", bytes: bytes.length, places: out.length } },
  );
}

/** Throws `InvalidArgument` unless `from` … `to` lie within `bytes`: native code would read whatever is there. */
export function checkRange(bytes: Uint8Array, from: number, to: number): void {
  if (from >= 0 && from <= to && to <= bytes.length) return;
  throw new AppError("InvalidArgument", `range: got ${from} … ${to}, allowed: within 0 … ${bytes.length}, in order`, {
    data: { field: "range", from, to, bytes: bytes.length },
  });
}

export const typescriptChecksum: Checksum = {
  description: "typescript",
  crc32c(bytes, seed = 0, from = 0, to = bytes.length) {
    checkRange(bytes, from, to);
    return crc32cRange(bytes, from, to, seed);
  },
  crc32cBlocks(bytes, out) {
    checkBlocks(bytes, out);
    for (let i = 0; i < out.length; i++) out[i] = crc32cRange(bytes, i * blockBytes, (i + 1) * blockBytes);
  },
};
