import { expect, test } from "bun:test";
import type { PoolStanding } from "../inventory/standing.ts";
import type { RunEntry } from "../volumes/run-entry.ts";
import { sampleRun } from "../volumes/testing/run-samples.ts";
import { planChunkRepair } from "./chunk-repair.ts";
import { brakedQueue, massFailure, planRepairs } from "./repair-plan.ts";

const run = (name: string, pools: string[], exceptions: RunEntry["exceptions"] = []): RunEntry =>
  sampleRun(name, pools, { exceptions });
const standings: Record<string, PoolStanding> = { L: "lost", A: "away", U: "unknown" };
const standing = (pool: string): PoolStanding => standings[pool] ?? "ok";

test("fewest spare losses go first; what only waits is not repaired; what can't be read is named", () => {
  const plan = planRepairs(
    [
      run("one", ["L", "b", "c", "d", "e", "f"]),
      run("two", ["L", "L", "c", "d", "e", "f"]),
      run("fine", ["a", "b", "c", "d", "e", "f"]),
      run("waits", ["A", "b", "c", "d", "e", "f"]),
      run("both", ["L", "A", "c", "d", "e", "f"]),
      run("gone", ["L", "L", "A", "d", "e", "f"]),
    ],
    standing,
  );
  expect(plan.queue.map((c) => [c.name, c.spare])).toEqual([
    ["both", 0],
    ["two", 0],
    ["one", 1],
  ]);
  expect(plan.unrecoverable).toEqual([{ name: "gone", volumeUuid: "u", missing: [0, 1, 2] }]);
  expect(plan.waiting).toBe(1);
  expect([...plan.spare]).toEqual([
    [1, 2],
    [0, 2],
    [2, 1],
    [-1, 1],
  ]);
});

test("an exception that is gone counts against its stripe, and one in a good place counts for it", () => {
  const lostChunk = { stripe: 2, shardIndex: 1, poolUuid: "L", putEpoch: 1, putAct: 2, present: true };
  const [candidate] = planRepairs([run("r", ["L", "b", "c", "d", "e", "f"], [lostChunk])], standing).queue;
  expect(candidate).toMatchObject({
    spare: 0,
    health: { missing: [0, 1], lostColumns: [0], lostChunks: [{ stripe: 2, shardIndex: 1 }] },
  });
});

test("the brake holds back what can bear more losses, only beyond the share, and never in a small cluster", () => {
  expect(massFailure({ total: 6, offline: 2 }, 0.34)).toBeUndefined();
  expect(massFailure({ total: 3, offline: 2 }, 0.34)).toBeUndefined();
  const brake = massFailure({ total: 6, offline: 3 }, 0.34);
  expect(brake).toContain("3 of 6 nodes");
  const { queue } = planRepairs(
    [run("one", ["L", "b", "c", "d", "e", "f"]), run("two", ["L", "L", "c", "d", "e", "f"])],
    standing,
  );
  expect(brakedQueue(queue, brake).map((c) => c.name)).toEqual(["two"]);
});

test("single chunks are put in their column's pool; beyond 256 exceptions the fullest column is put as a whole", () => {
  const placement = {
    version: 1,
    code: { family: "rs", k: 4, m: 2 } as const,
    since: "now",
    shardLocations: run("r", ["a", "L", "c", "d", "e", "f"]).shardLocations.slice(),
  };
  const spec = { placements: [placement], exceptions: [] } as never;
  const few = planChunkRepair(
    spec,
    [
      { stripe: 1, shardIndex: 0 },
      { stripe: 1, shardIndex: 1 },
    ],
    standing,
  );
  expect(few).toMatchObject({
    placed: [{ shardIndex: 0, poolUuid: "a" }],
    only: [{ stripe: 1, shardIndex: 0 }],
    left: [{ stripe: 1, shardIndex: 1 }],
  });
  const many = Array.from({ length: 300 }, (_, stripe) => ({ stripe, shardIndex: stripe < 20 ? 2 : 3 }));
  const whole = planChunkRepair(spec, many, standing);
  expect(whole?.only).toBeUndefined();
  expect(whole?.placed.map((p) => p.shardIndex)).toEqual([3]);
  expect(whole?.left.length).toBe(20);
});
