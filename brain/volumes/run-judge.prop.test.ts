import { expect, test } from "bun:test";
import type { Code } from "@couchestor/common/code/code.ts";
import { shardCount } from "@couchestor/common/code/code.ts";
import fc from "fast-check";
import type { PoolStanding } from "../inventory/standing.ts";
import { runJudge } from "./run-judge.ts";
import { judgeRun, type RunShape } from "./run-shape.ts";

const codes: readonly Code[] = [
  { family: "rs", k: 4, m: 2 },
  { family: "lrc", k: 6, l: 2, g: 2 },
  { family: "replica", n: 3 },
  { family: "rs", k: 28, m: 4 },
];
const pools = Array.from({ length: 8 }, (_, i) => `pool-${i}`);
const standingArb = fc.constantFrom<PoolStanding>("ok", "away", "lost", "unknown");

const runArb: fc.Arbitrary<RunShape> = fc
  .record({
    code: fc.constantFrom(...codes),
    generation: fc.nat(2),
    columns: fc.array(fc.nat(pools.length - 1), { minLength: 32, maxLength: 32 }),
    lacks: fc.option(fc.nat(31)),
    exception: fc.option(fc.record({ shardIndex: fc.nat(2), pool: fc.nat(pools.length - 1), present: fc.boolean() })),
  })
  .map(({ code, generation, columns, lacks, exception }) => ({
    code,
    generation,
    shardLocations: Array.from({ length: shardCount(code) }, (_, shardIndex) => ({
      shardIndex,
      poolUuid: pools[columns[shardIndex] ?? 0] ?? "",
      nodeName: "n",
      poolName: "p",
      putEpoch: 1,
      putAct: 1,
    })).filter(({ shardIndex }) => shardIndex !== lacks),
    exceptions: exception
      ? [
          {
            stripe: 3,
            shardIndex: exception.shardIndex,
            poolUuid: pools[exception.pool] ?? "",
            putEpoch: 1,
            putAct: 1,
            present: exception.present,
          },
        ]
      : [],
  }));

test("judged in one pass, each run is what it is judged to be alone", () => {
  fc.assert(
    fc.property(
      fc.array(runArb, { maxLength: 20 }),
      fc.array(standingArb, { minLength: pools.length, maxLength: pools.length }),
      (runs, standings) => {
        const standing = (pool: string): PoolStanding => standings[pools.indexOf(pool)] ?? "lost";
        const judge = runJudge(standing);
        for (const run of [...runs, ...runs]) expect(judge(run)).toEqual(judgeRun(run, standing));
      },
    ),
    { numRuns: 300 },
  );
});

test("runs that are alike share a judgement, and runs of different codes don't", () => {
  const judge = runJudge(() => "ok");
  const [rs, lrc] = codes as [Code, Code];
  const run = (code: Code): RunShape => ({
    code,
    generation: 1,
    exceptions: [],
    shardLocations: Array.from({ length: shardCount(code) }, (_, shardIndex) => ({
      ...{ shardIndex, poolUuid: `p${shardIndex}`, nodeName: "n", poolName: "p", putEpoch: 1, putAct: 1 },
    })),
  });
  expect(judge(run(rs))).toBe(judge(run(rs)));
  expect(judge(run(rs))).not.toBe(judge(run(lrc)));
});
