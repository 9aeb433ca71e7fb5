import { describe, expect, test } from "bun:test";
import { type Code, lossesTolerated, parseCode, shardCount } from "@couchestor/common/code/code.ts";
import { parityCoefficient, shardsShort } from "./decode-rank.ts";
import { isDecodable, spareCount } from "./spare.ts";
import golden from "./testdata/lrc-decodable.json" with { type: "json" };

/** The shards in a bit set. */
function setOf(bits: number): Set<number> {
  const set = new Set<number>();
  for (let i = 0; 2 ** i <= bits; i++) if (Math.floor(bits / 2 ** i) % 2 === 1) set.add(i);
  return set;
}

describe("decodability", () => {
  test("the parity rows of 4+2 are those that klauspost/reedsolomon has", () => {
    const row = (i: number) => [0, 1, 2, 3].map((column) => parityCoefficient(4, i, column));
    expect([row(0), row(1)]).toEqual([
      [27, 28, 18, 20],
      [28, 27, 20, 18],
    ]);
  });

  for (const [text, sha256] of Object.entries(golden.sha256)) {
    test(`${text}: every loss pattern is judged as the agents' codec judges it`, () => {
      const code = parseCode(text);
      const bits = new Uint8Array(2 ** shardCount(code) / 8);
      for (let lost = 0; lost < bits.length * 8; lost++) {
        if (isDecodable(code, setOf(lost))) bits[lost >> 3] = (bits[lost >> 3] ?? 0) | (1 << (lost & 7));
      }
      expect(new Bun.CryptoHasher("sha256").update(bits).digest("hex")).toBe(sha256);
    });
  }

  test("rs and replica need exactly k shards, whichever", () => {
    for (const text of ["4+2", "1+1", "replica(3)", "replica(1)"]) {
      const code = parseCode(text);
      const needed = code.family === "rs" ? code.k : 1;
      for (let lost = 0; lost < 2 ** shardCount(code); lost++) {
        const set = setOf(lost);
        expect(isDecodable(code, set)).toBe(shardCount(code) - set.size >= needed);
        expect(shardsShort(code, set)).toBe(Math.max(0, needed - (shardCount(code) - set.size)));
      }
    }
  });
});

describe("spare", () => {
  /** By the definition alone: the most s such that every s further losses leave the data decodable. */
  function bySearch(code: Code, lost: number): number {
    const all = 2 ** shardCount(code);
    let fewestToLose = shardCount(code) + 1;
    for (let after = 0; after < all; after++) {
      if ((after & lost) !== lost || isDecodable(code, setOf(after))) continue;
      fewestToLose = Math.min(fewestToLose, setOf(after & ~lost).size);
    }
    return fewestToLose - 1;
  }

  test("is the number of further losses that it bears, whichever they are, for every loss of small codes", () => {
    for (const text of ["4+2", "2+1", "replica(3)", "lrc(4,2,1)", "lrc(4,2,2)", "lrc(2,1,1)"]) {
      const code = parseCode(text);
      for (let lost = 0; lost < 2 ** shardCount(code); lost++) {
        expect([text, lost, spareCount(code, setOf(lost))]).toEqual([text, lost, bySearch(code, lost)]);
      }
    }
  });

  test("an untouched stripe bears exactly what the code says", () => {
    for (const text of ["4+2", "10+4", "17+3", "lrc(12,2,2)", "lrc(6,3,2)", "replica(5)"]) {
      const code = parseCode(text);
      expect(spareCount(code, new Set())).toBe(lossesTolerated(code));
    }
  });

  test("lrc(12,2,2): one loss in each local group still leaves two to spare, two in one group only one", () => {
    const code = parseCode("lrc(12,2,2)");
    expect(spareCount(code, new Set([0, 6]))).toBe(2);
    expect(spareCount(code, new Set([0, 1]))).toBe(1);
    expect(spareCount(code, new Set([0, 1, 6, 7]))).toBe(0);
    expect(isDecodable(code, new Set([0, 1, 2, 3]))).toBe(false);
    expect(spareCount(code, new Set([0, 1, 2, 3]))).toBe(-1);
  });

  test("the largest code is answered without trying every set", () => {
    const code = parseCode("lrc(32,8,8)");
    expect(spareCount(code, new Set([0, 4, 8]))).toBeGreaterThanOrEqual(6);
  });
});
