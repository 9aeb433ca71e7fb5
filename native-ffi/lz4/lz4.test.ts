import { describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import fc from "fast-check";
import { type Lz4, lz4InputBytesMax } from "./block.ts";
import { selectLz4 } from "./lz4.ts";
import { loadNativeLz4 } from "./native-lz4.ts";
import { loadWasmLz4 } from "./wasm-lz4.ts";

const { lz4: native, notes } = loadNativeLz4();
const all: Lz4[] = native ? [native, loadWasmLz4()] : [loadWasmLz4()];
if (!native) process.stderr.write(`skipped: tests of liblz4 (${notes.join("; ")})\n`);

/** A block made by another implementation: literals "hello ", a match of 22 bytes at distance 6, literals " hello". */
const golden = {
  block: Buffer.from("6f68656c6c6f20060004602068656c6c6f", "hex"),
  text: "hello hello hello hello hello hello",
};

const limit = 1 << 20;
const compressible = fc
  .tuple(
    fc.uint8Array({ minLength: 1, maxLength: 40 }),
    fc.integer({ min: 1, max: 400 }),
    fc.uint8Array({ maxLength: 60 }),
  )
  .map(([unit, times, tail]) => Buffer.concat([...Array.from({ length: times }, () => unit), tail]));

describe.each(all.map((lz4) => [lz4.description, lz4] as const))("%s", (_, lz4) => {
  test("reads a block it did not write", () => {
    const out = lz4.decompress({ raw: false, bytes: golden.block }, golden.text.length, limit);
    expect(Buffer.from(out).toString()).toBe(golden.text);
  });

  test("its blocks are read by every other, and by itself", () => {
    fc.assert(
      fc.property(compressible, (bytes) => {
        const compressed = lz4.compress(bytes);
        for (const reader of all) {
          expect(Buffer.compare(reader.decompress(compressed, bytes.length, limit), bytes)).toBe(0);
        }
      }),
      { numRuns: 60 },
    );
  });

  test("what does not pay is returned as it came", () => {
    const random = crypto.getRandomValues(new Uint8Array(4096));
    for (const bytes of [random, new Uint8Array(0), Uint8Array.of(7)]) {
      expect(lz4.compress(bytes)).toEqual({ raw: true, bytes });
      expect(lz4.decompress({ raw: true, bytes }, bytes.length, limit)).toBe(bytes);
    }
    expect(lz4.compress(new Uint8Array(4096))).toMatchObject({ raw: false });
  });

  test("damage gives an error or the declared length, never a crash; and the next call works", () => {
    const block = lz4.compress(Buffer.from("the quick brown fox ".repeat(60))).bytes;
    for (let bit = 0; bit < block.length * 8; bit++) {
      const damaged = block.slice();
      damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        expect(lz4.decompress({ raw: false, bytes: damaged }, 1200, limit)).toHaveLength(1200);
      } catch (error) {
        expect(isAppError(error, "ChunkCorrupt")).toBe(true);
      }
    }
    expect(lz4.decompress({ raw: false, bytes: block }, 1200, limit)).toHaveLength(1200);
  });

  test("a declared size that is wrong or beyond the limit is refused", () => {
    const block = lz4.compress(new Uint8Array(5000)).bytes;
    const decompress = (size: number) => () => lz4.decompress({ raw: false, bytes: block }, size, 8192);
    expect(decompress(4999)).toThrow("does not decompress to 4999 bytes");
    expect(decompress(5001)).toThrow("does not decompress to 5001 bytes");
    expect(decompress(8193)).toThrow("lz4 original size: got 8193 bytes; allowed: 0 to 8192");
    expect(decompress(-1)).toThrow("got -1 bytes");
    expect(() => lz4.decompress({ raw: true, bytes: block }, 5000, 8192)).toThrow("raw bytes of another length");
    expect(() => lz4.compress(new Uint8Array(lz4InputBytesMax + 1))).toThrow("lz4 input: got 67108865 bytes");
  });
});

test("liblz4 is selected where it is", () => {
  expect(selectLz4().lz4.description).toBe(native ? native.description : "lz4 webassembly");
});
