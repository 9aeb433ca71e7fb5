import { describe, expect, test } from "bun:test";
import { type Code, parseCode, shardCount } from "@couchestor/common/code/code.ts";
import fc from "fast-check";
import { type DegradedRun, repairOrder } from "./repair-order.ts";
import { isDecodable } from "./spare.ts";

const codes: Code[] = ["4+2", "2+1", "8+3", "replica(3)", "lrc(4,2,2)", "lrc(6,2,2)"].map(parseCode);

interface Lost {
  shardIndex: number;
  poolUuid: string;
}

function runOf(id: string, code: Code, lostIndexes: Iterable<number>): DegradedRun<Lost> {
  const lostSet = new Set([...lostIndexes].map((index) => index % shardCount(code)));
  const present = Array.from({ length: shardCount(code) }, (_, i) => i).filter((shard) => !lostSet.has(shard));
  const lost = [...lostSet].map((shardIndex) => ({ shardIndex, poolUuid: `pool-of-${shardIndex}` }));
  return { id, code, presentShards: new Set(present), lost };
}

const runsArb = fc
  .array(fc.record({ code: fc.constantFrom(...codes), lost: fc.uniqueArray(fc.nat(47), { maxLength: 6 }) }), {
    maxLength: 40,
  })
  .map((raw) => raw.map(({ code, lost }, i) => runOf(`run-${i}`, code, lost)));

const lostOf = (run: DegradedRun<Lost>) => new Set(run.lost.map(({ shardIndex }) => shardIndex));

describe("repair order", () => {
  test("each degraded run is there once; unrecoverable is what can't be decoded, with all that it misses", () => {
    fc.assert(
      fc.property(runsArb, (runs) => {
        const { queue, unrecoverable } = repairOrder<Lost, DegradedRun<Lost>>(runs);
        const ids = [...queue, ...unrecoverable].map(({ run }) => run.id).sort();
        expect(ids).toEqual(
          runs
            .filter((run) => run.lost.length > 0)
            .map((run) => run.id)
            .sort(),
        );
        for (const { run, spare } of queue) {
          expect(spare).toBeGreaterThanOrEqual(0);
          expect(isDecodable(run.code, lostOf(run))).toBe(true);
        }
        for (const { run, missing, shardsShort } of unrecoverable) {
          expect(isDecodable(run.code, lostOf(run))).toBe(false);
          expect(missing).toEqual(run.lost);
          expect(shardsShort).toBeGreaterThan(0);
          expect(shardsShort).toBeLessThanOrEqual(missing.length);
        }
      }),
      { seed: 20260303, numRuns: 300 },
    );
  });

  test("fewest spare first: no run stands before one that bears less; ties are by losses, then by id", () => {
    fc.assert(
      fc.property(runsArb, (runs) => {
        const { queue } = repairOrder<Lost, DegradedRun<Lost>>(runs);
        for (let i = 1; i < queue.length; i++) {
          const [a, b] = [queue[i - 1], queue[i]];
          if (!a || !b) throw new Error("hole");
          expect(a.spare).toBeLessThanOrEqual(b.spare);
          if (a.spare < b.spare) continue;
          expect(a.lostCount).toBeGreaterThanOrEqual(b.lostCount);
          if (a.lostCount === b.lostCount) expect(a.run.id < b.run.id).toBe(true);
        }
      }),
      { seed: 20260304, numRuns: 300 },
    );
  });

  test("the order in which runs come makes no difference", () => {
    fc.assert(
      fc.property(runsArb, fc.nat(), (runs, turn) => {
        const shift = runs.length === 0 ? 0 : turn % runs.length;
        const turned = [...runs.slice(shift), ...runs.slice(0, shift)].reverse();
        expect(repairOrder<Lost, DegradedRun<Lost>>(turned)).toEqual(repairOrder<Lost, DegradedRun<Lost>>(runs));
      }),
      { seed: 20260305, numRuns: 200 },
    );
  });

  test("one loss more never moves a run back", () => {
    fc.assert(
      fc.property(
        fc.constantFrom(...codes),
        fc.uniqueArray(fc.nat(47), { maxLength: 5 }),
        fc.nat(47),
        (code, lost, more) => {
          const less = runOf("a", code, lost);
          const runs = [less, runOf("b", code, [...lost, more])];
          const { queue, unrecoverable } = repairOrder<Lost, DegradedRun<Lost>>(runs);
          const spare = (id: string) => queue.find(({ run }) => run.id === id)?.spare ?? -1;
          if (less.lost.length === 0) return;
          if (unrecoverable.some(({ run }) => run.id === "a")) expect(spare("b")).toBe(-1);
          else expect(spare("b")).toBeLessThanOrEqual(spare("a"));
        },
      ),
      { seed: 20260306, numRuns: 500 },
    );
  });

  test("a shard that is neither present nor named lost counts as lost", () => {
    const code = parseCode("4+2");
    const silent = { id: "a", code, presentShards: new Set([0, 1, 2]), lost: [] };
    expect(repairOrder([silent]).unrecoverable).toHaveLength(1);
    const both = { id: "b", code, presentShards: new Set([0, 1, 2, 3, 4, 5]), lost: [{ shardIndex: 5 }] };
    expect(repairOrder([both]).queue).toEqual([{ run: both, spare: 1, lostCount: 1 }]);
  });
});
