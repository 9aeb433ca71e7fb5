import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { loadIsal } from "../isal/isal.ts";
import { typescriptChecksum } from "./crc32c.ts";
import { goldenChecksums } from "./golden.ts";

const { isal, notes } = loadIsal();
const checksums = isal ? [typescriptChecksum, isal.checksum] : [typescriptChecksum];
if (!isal) process.stderr.write(`skipped: tests of ISA-L's CRC32C (${notes.join("; ")})\n`);

/** Bit by bit: the definition. */
function slowCrc32c(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

describe.each(checksums.map((checksum) => [checksum.description, checksum] as const))("CRC32C by %s", (_, checksum) => {
  test("gives the published values", () => {
    for (const { bytes, crc32c } of goldenChecksums) expect(checksum.crc32c(bytes)).toBe(crc32c);
  });
  test("is what the definition says for any bytes at any offset, in one piece or two", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(16), fc.nat(700), (bytes, skip, cut) => {
        const part = bytes.subarray(Math.min(skip, bytes.length));
        const at = Math.min(cut, part.length);
        const expected = slowCrc32c(part);
        expect(checksum.crc32c(part)).toBe(expected);
        expect(checksum.crc32c(part.subarray(at), checksum.crc32c(part.subarray(0, at)))).toBe(expected);
        expect(checksum.crc32c(bytes, checksum.crc32c(part, 0, 0, at), bytes.length - part.length + at)).toBe(expected);
      }),
    );
  });
  test("of blocks is that of each block", () => {
    const bytes = Uint8Array.from({ length: 5 * 4096 }, (_, i) => (i * 7 + (i >> 5)) & 0xff);
    const out = new Uint32Array(5);
    checksum.crc32cBlocks(bytes, out);
    for (let i = 0; i < 5; i++) expect(out[i]).toBe(slowCrc32c(bytes.subarray(i * 4096, (i + 1) * 4096)));
    checksum.crc32cBlocks(new Uint8Array(0), new Uint32Array(0));
  });
  test("refuses a range that is not within the bytes", () => {
    for (const [from, to] of [
      [-1, 4],
      [3, 2],
      [0, 9],
      [9, 9],
      [Number.NaN, 4],
    ])
      expect(() => checksum.crc32c(new Uint8Array(8), 0, from, to)).toThrow("allowed: within 0 … 8");
  });
  test("refuses parts of blocks and too few places", () => {
    expect(() => checksum.crc32cBlocks(new Uint8Array(4097), new Uint32Array(1))).toThrow("a multiple of 4096 bytes");
    expect(() => checksum.crc32cBlocks(new Uint8Array(8192), new Uint32Array(1))).toThrow("one place for each");
  });
});
