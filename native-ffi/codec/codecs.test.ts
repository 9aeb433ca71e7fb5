/** Every codec against the golden bytes and against the plain one: every pattern of loss for small codes, random ones for the rest. */
import { describe, expect, test } from "bun:test";
import {
  type Code,
  dataShards,
  formatCode,
  lossesTolerated,
  parseCode,
  shardCount,
} from "@couchestor/common/code/code.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import fc from "fast-check";
import { loadIsal } from "../isal/isal.ts";
import { wasmCodec } from "../wasm/wasm-codec.ts";
import { goldenData, goldenShardBytes, goldenStripe, goldenVectors } from "./golden.ts";
import type { ErasureCodec } from "./ports.ts";
import { typescriptCodec } from "./typescript-codec.ts";

const { isal, notes } = loadIsal();
const codecs: ErasureCodec[] = [typescriptCodec, wasmCodec()];
if (isal) codecs.push(isal.codec);
else process.stderr.write(`skipped: tests of ISA-L (${notes.join("; ")})\n`);

function randomStripe(code: Code, length: number, seed: number): Uint8Array[] {
  let state = seed | 1;
  const data = Array.from({ length: dataShards(code) }, () =>
    Uint8Array.from({ length }, () => {
      state = (Math.imul(state, 1664525) + 1013904223) | 0;
      return state >>> 24;
    }),
  );
  const parity = Array.from({ length: shardCount(code) - data.length }, () => new Uint8Array(length));
  typescriptCodec.encode(code, data, parity);
  return [...data, ...parity];
}

/** All sets of `size` of the numbers below `count`. */
function* choose(count: number, size: number, from = 0): Generator<number[]> {
  if (size === 0) yield [];
  else
    for (let first = from; first <= count - size; first++)
      for (const rest of choose(count, size - 1, first + 1)) yield [first, ...rest];
}

function bringBack(
  codec: ErasureCodec,
  code: Code,
  stripe: Uint8Array[],
  lost: number[],
  start = 0,
  end = stripe[0]?.length ?? 0,
) {
  const present = new Map<number, Uint8Array>();
  stripe.forEach((shard, i) => {
    if (!lost.includes(i)) present.set(i, shard.subarray(start, end));
  });
  const into = lost.map(() => new Uint8Array(end - start).fill(0xa5));
  codec.reconstruct(code, present, lost, into);
  lost.forEach((shard, i) => {
    if (Buffer.compare(into[i] as Uint8Array, (stripe[shard] as Uint8Array).subarray(start, end)) !== 0) {
      throw new Error(
        `${codec.description} ${formatCode(code)}: shard ${shard} of lost ${lost} differs in [${start}, ${end})`,
      );
    }
  });
}

function isUnrecoverable(run: () => void): boolean {
  try {
    run();
  } catch (error) {
    return isAppError(error, "Unrecoverable");
  }
  return false;
}

describe.each(codecs.map((codec) => [codec.description, codec] as const))("%s", (_, codec) => {
  test.each(goldenVectors.map((vector) => [formatCode(vector.code), vector] as const))(
    "makes the golden parity of %s",
    (_, vector) => {
      const parity = vector.parity.map(() => new Uint8Array(goldenShardBytes));
      codec.encode(vector.code, goldenData(vector.code), parity);
      expect(parity as Uint8Array[]).toEqual([...vector.parity]);
      bringBack(codec, vector.code, goldenStripe(vector), [
        0,
        vector.code.family === "replica" ? 1 : dataShards(vector.code),
      ]);
    },
  );

  test("a single copy has no parity to make, and can't be brought back", () => {
    const code = parseCode("replica(1)");
    const stripe = randomStripe(code, 97, 3);
    codec.encode(code, stripe, []);
    expect(isUnrecoverable(() => bringBack(codec, code, stripe, [0]))).toBe(true);
  });

  test.each(["4+2", "6+3"])("%s: brings back every pattern it can, and refuses every other", (text) => {
    const code = parseCode(text);
    const count = shardCount(code);
    const stripe = randomStripe(code, 97, 5);
    for (let losses = 1; losses <= count; losses++) {
      for (const lost of choose(count, losses)) {
        if (losses <= lossesTolerated(code)) bringBack(codec, code, stripe, lost);
        else expect(isUnrecoverable(() => bringBack(codec, code, stripe, lost))).toBe(true);
      }
    }
  });

  test.each(["lrc(4,2,2)", "lrc(12,2,2)", "lrc(6,3,1)"])(
    "%s: brings back every loss of g + 1 shards or fewer",
    (text) => {
      const code = parseCode(text);
      const stripe = randomStripe(code, 33, 9);
      for (let losses = 1; losses <= lossesTolerated(code); losses++) {
        for (const lost of choose(shardCount(code), losses)) bringBack(codec, code, stripe, lost);
      }
    },
  );

  test("the same bytes as the plain codec for any code, length and loss", () => {
    const codes = ["6+2", "8+3", "10+4", "17+3", "1+1", "32+16", "lrc(12,3,4)", "replica(3)"];
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.integer({ min: 1, max: 3000 }),
        fc.integer(),
        fc.infiniteStream(fc.nat(1000)),
        (text, length, seed, picks) => {
          const code = parseCode(text);
          const stripe = randomStripe(code, length, seed);
          const parity = stripe.slice(dataShards(code)).map(() => new Uint8Array(length));
          codec.encode(code, stripe.slice(0, dataShards(code)), parity);
          expect(parity as Uint8Array[]).toEqual(stripe.slice(dataShards(code)));
          const shards = stripe.map((_, i) => i);
          const lost = Array.from({ length: lossesTolerated(code) }, () => {
            return shards.splice((picks.next().value as number) % shards.length, 1)[0] as number;
          });
          bringBack(codec, code, stripe, lost);
          const start = (picks.next().value as number) % length;
          bringBack(codec, code, stripe, lost, start, start + 1 + ((picks.next().value as number) % (length - start)));
        },
      ),
      { numRuns: 150 },
    );
  });

  test("every short length, and lengths around the pieces work is done in", () => {
    const code = parseCode("4+2");
    for (let length = 1; length <= 300; length++) bringBack(codec, code, randomStripe(code, length, length), [1, 4]);
    for (const length of [174_720, 174_721, 262_144])
      bringBack(codec, code, randomStripe(code, length, length), [0, 5]);
  });

  test("empty shards, nothing wanted, and what is present already are all fine", () => {
    const code = parseCode("4+2");
    const empty = () => new Uint8Array(0);
    codec.encode(code, [empty(), empty(), empty(), empty()], [empty(), empty()]);
    codec.reconstruct(code, new Map(), [], []);
    const stripe = randomStripe(code, 64, 3);
    const into = [new Uint8Array(64), new Uint8Array(64), new Uint8Array(64)];
    codec.reconstruct(code, new Map(stripe.slice(1).map((shard, i) => [i + 1, shard])), [2, 0, 5], into);
    expect(into).toEqual([stripe[2], stripe[0], stripe[5]] as Uint8Array<ArrayBuffer>[]);
  });

  test("buffers of the wrong number or length are refused by name", () => {
    const code = parseCode("4+2");
    const data = Array.from({ length: 4 }, () => new Uint8Array(8));
    expect(() => codec.encode(code, data.slice(1), [new Uint8Array(8), new Uint8Array(8)])).toThrow(
      "data: got 3 buffers; allowed: 4",
    );
    expect(() => codec.encode(code, data, [new Uint8Array(8), new Uint8Array(9)])).toThrow(
      "parity[1]: got 9 bytes; allowed: 8",
    );
    expect(() => codec.reconstruct(code, new Map([[6, new Uint8Array(8)]]), [0], [new Uint8Array(8)])).toThrow(
      "present: got shard 6",
    );
  });

  test("more patterns of loss than are remembered stay right", () => {
    const code = parseCode("10+4");
    const stripe = randomStripe(code, 16, 21);
    for (let round = 0; round < 2; round++) for (const lost of choose(14, 3)) bringBack(codec, code, stripe, lost);
  });
});
