import { expect, test } from "bun:test";
import type { PoolStanding } from "../inventory/standing.ts";
import type { RunEntry } from "../volumes/run-entry.ts";
import { sampleRun } from "../volumes/testing/run-samples.ts";
import { planEvacuation } from "./evacuation-plan.ts";

const run = (name: string, pools: string[], exceptions: RunEntry["exceptions"] = [], generation = 1): RunEntry =>
  sampleRun(name, pools, { exceptions, generation });
const standings: Record<string, PoolStanding> = { L: "lost", A: "away", U: "unknown" };
const plan = (...runs: RunEntry[]) =>
  planEvacuation(runs, new Set(["F", "G"]), (pool: string): PoolStanding => standings[pool] ?? "ok");

test("runs that would bear the fewest losses without the failing pools go first; those that lost something are repair's", () => {
  const { queue, runsOn } = plan(
    run("one", ["F", "b", "c", "d", "e", "f"]),
    run("two", ["F", "G", "c", "d", "e", "f"]),
    run("away", ["F", "A", "G", "d", "e", "f"]),
    run("lost", ["F", "L", "c", "d", "e", "f"]),
    run("unsure", ["F", "U", "c", "d", "e", "f"]),
    run("elsewhere", ["a", "b", "c", "d", "e", "f"]),
    run("unwritten", ["G", "b", "c", "d", "e", "f"], [], 0),
  );
  expect(queue.map(({ name, spareWithout, leaving }) => [name, spareWithout, leaving])).toEqual([
    ["away", -1, [0, 2]],
    ["two", 0, [0, 1]],
    ["one", 1, [0]],
  ]);
  // A pool is empty only when no run of any kind names it.
  expect([...runsOn]).toEqual([
    ["F", 5],
    ["G", 3],
  ]);
});

test("a single chunk on a failing pool moves with its whole column; one that is known to be absent does not count", () => {
  const chunk = { stripe: 1, shardIndex: 3, poolUuid: "F", putEpoch: 1, putAct: 2 };
  const pools = ["a", "b", "c", "d", "e", "f"];
  expect(plan(run("there", pools, [{ ...chunk, present: true }])).queue).toMatchObject([
    { name: "there", leaving: [3] },
  ]);
  expect(plan(run("absent", pools, [{ ...chunk, present: false }])).queue).toEqual([]);
  expect(planEvacuation([run("x", pools)], new Set(), () => "ok")).toEqual({ queue: [], runsOn: new Map(), held: [] });
});

test("a run that was changed by hand is not planned for, and may have shards on any failing pool", () => {
  const edited = { ...run("edited", ["a", "b", "c", "d", "e", "f"]), held: "its shards were changed" };
  const { queue, runsOn, held } = plan(edited, run("one", ["F", "b", "c", "d", "e", "f"]));
  expect(queue.map(({ name }) => name)).toEqual(["one"]);
  expect(Object.fromEntries(runsOn)).toEqual({ F: 2, G: 1 });
  expect(held).toEqual([{ name: "edited", why: "its shards were changed" }]);
});
