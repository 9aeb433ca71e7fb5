import { describe, expect, test } from "bun:test";
import { dataShards, parseCode, shardCount } from "@couchestor/common/code/code.ts";
import { coefficientsFor, planRecovery } from "./recovery.ts";

const members = (mask: number, count: number): number[] =>
  Array.from({ length: count }, (_, i) => i).filter((i) => mask & (1 << i));
const bits = (mask: number): number => {
  let count = 0;
  for (let rest = mask; rest; rest &= rest - 1) count++;
  return count;
};

/** For every set of shards, the set of shards that follow from it. */
function derivable(text: string): { count: number; span: number[] } {
  const code = parseCode(text);
  const count = shardCount(code);
  const span = Array.from({ length: 1 << count }, (_, mask) => {
    const sources = members(mask, count);
    return members((1 << count) - 1, count)
      .filter((shard) => coefficientsFor(code, sources, [shard]))
      .reduce((sum, shard) => sum | (1 << shard), 0);
  });
  return { count, span };
}

describe("planRecovery reads as few shards as any plan could", () => {
  for (const text of [
    "2+1",
    "3+2",
    "4+2",
    "replica(3)",
    "lrc(2,1,1)",
    "lrc(4,2,1)",
    "lrc(4,2,2)",
    "lrc(4,1,2)",
    "lrc(3,3,2)",
    "lrc(6,2,1)",
  ]) {
    test(`${text}: every set of readable shards, every one and two wanted, and all that are lost`, () => {
      const code = parseCode(text);
      const { count, span } = derivable(text);
      const all = (1 << count) - 1;
      const fewest = (available: number, wanted: number): number | undefined => {
        let best: number | undefined;
        for (let set = available; ; set = (set - 1) & available) {
          if (((span[set] as number) & wanted) === wanted) best = Math.min(best ?? 99, bits(set));
          if (set === 0) return best;
        }
      };
      for (let available = 0; available <= all; available++) {
        const readable = new Set(members(available, count));
        const wantedSets = new Set([all & ~available, all]);
        for (let a = 0; a < count; a++) for (let b = a; b < count; b++) wantedSets.add((1 << a) | (1 << b));
        for (const wanted of wantedSets) {
          if (wanted === 0) continue;
          const plan = planRecovery(code, readable, members(wanted, count));
          const best = fewest(available, wanted);
          if (plan?.length !== best) {
            throw new Error(
              `${text}: readable ${[...readable]}, wanted ${members(wanted, count)}: plan ${plan}, fewest ${best}`,
            );
          }
          if (!plan) continue;
          const used = plan.reduce((sum, shard) => sum | (1 << shard), 0);
          expect(used & ~available).toBe(0);
          expect((span[used] as number) & wanted).toBe(wanted);
        }
      }
    });
  }
});

describe("planRecovery for codes in use", () => {
  const without = (text: string, lost: number[]) =>
    new Set(
      members((2 ** shardCount(parseCode(text)) - 1) | 0, shardCount(parseCode(text))).filter((s) => !lost.includes(s)),
    );

  test("one loss in a local group of lrc(12,2,2) reads the six others of the group", () => {
    expect(planRecovery(parseCode("lrc(12,2,2)"), without("lrc(12,2,2)", [8]), [8])).toEqual([6, 7, 9, 10, 11, 13]);
    expect(planRecovery(parseCode("lrc(12,2,2)"), without("lrc(12,2,2)", [12]), [12])).toEqual([0, 1, 2, 3, 4, 5]);
  });
  test("two losses in one group read as many as there are data shards", () => {
    const plan = planRecovery(parseCode("lrc(12,2,2)"), without("lrc(12,2,2)", [0, 1]), [0, 1]);
    expect(plan).toHaveLength(12);
  });
  test("a Reed-Solomon code reads k shards, data before parity", () => {
    expect(planRecovery(parseCode("4+2"), without("4+2", [1]), [1])).toEqual([0, 2, 3, 4]);
  });
  test("any g + 1 losses of lrc(12,2,2) can be recovered, and no more than m of 10+4", () => {
    const lrc = parseCode("lrc(12,2,2)");
    for (let a = 0; a < 16; a++)
      for (let b = a + 1; b < 16; b++)
        for (let c = b + 1; c < 16; c++) {
          const plan = planRecovery(lrc, without("lrc(12,2,2)", [a, b, c]), [a, b, c]);
          expect(plan?.length).toBeLessThanOrEqual(dataShards(lrc));
        }
    expect(planRecovery(parseCode("10+4"), without("10+4", [0, 1, 2, 3, 4]), [0])).toBeUndefined();
  });
  test("an index that is no shard is refused by name", () => {
    expect(() => planRecovery(parseCode("4+2"), new Set([0, 6]), [1])).toThrow(
      "available: got shard 6; allowed: whole numbers from 0 to 5",
    );
    expect(() => planRecovery(parseCode("4+2"), new Set([0]), [0.5])).toThrow("wanted: got shard 0.5");
  });
});
