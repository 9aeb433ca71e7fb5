import { beforeAll, describe, expect, setDefaultTimeout, test } from "bun:test";
import type { Code } from "@couchestor/common/code/code.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { Placer } from "./placer.ts";
import { planRebalance, type RebalancePlan } from "./rebalance.ts";
import type { RebalanceGroup } from "./rebalance-state.ts";
import type { TopologyPool } from "./topology.ts";
import { gib, samplePool } from "./topology-samples.ts";

// Seconds on an idle machine, and several times that on a busy one.
setDefaultTimeout(60_000);

const code: Code = { family: "rs", k: 4, m: 2 };
const rule = { failureDomain: "node", poolSelector: {} };
const nodes = 1000;
const groupCount = 100_000;
const bytesPerShard = gib / 4;
const tolerance = 0.05;
const groups: RebalanceGroup[] = [];

/** One pool a node, in four sizes. */
const pools: TopologyPool[] = Array.from({ length: nodes }, (_, node) =>
  samplePool(node, 0, { capacityBytes: ([150, 300, 300, 600][node % 4] as number) * gib }),
);

beforeAll(() => {
  const placer = new Placer({ pools });
  const prng = seededPrng(1);
  for (let i = 0; i < groupCount; i++) {
    const placed = placer.place({
      code,
      rule,
      keep: [],
      shardIndexes: [0, 1, 2, 3, 4, 5],
      bytesPerShard,
      seed: prng.u32(),
    });
    groups.push({ id: `v-${i}`, code, rule, shards: placed, bytesPerShard });
  }
});

function usedBy(all: readonly RebalanceGroup[], plan?: RebalancePlan): Map<string, number> {
  const moved = new Map(plan?.moves.map((move) => [`${move.groupId}/${move.shardIndex}`, move.to.poolUuid]));
  const used = new Map<string, number>();
  for (const group of all) {
    const at = group.shards.map((shard) => moved.get(`${group.id}/${shard.shardIndex}`) ?? shard.poolUuid);
    if (new Set(at).size !== 6)
      throw new Error(`${group.id} has two shards in one pool, that is on one node: ${at.join()}`);
    for (const pool of at) used.set(pool, (used.get(pool) ?? 0) + group.bytesPerShard);
  }
  return used;
}

function withUse(all: readonly TopologyPool[], used: Map<string, number>): TopologyPool[] {
  return all.map((pool) => ({ ...pool, usedBytes: used.get(pool.poolUuid) ?? 0 }));
}

/** Fullest and emptiest pool over the mean fill, by capacity. */
function balanceOf(all: readonly TopologyPool[]): { fullest: number; emptiest: number } {
  const sum = (of: (pool: TopologyPool) => number) => all.reduce((total, pool) => total + of(pool), 0);
  const mean = sum((pool) => pool.usedBytes) / sum((pool) => pool.capacityBytes);
  const fills = all.map((pool) => pool.usedBytes / pool.capacityBytes / mean);
  return { fullest: Math.max(...fills), emptiest: Math.min(...fills) };
}

describe("1,000 nodes of four sizes, 100,000 groups of 4+2", () => {
  test("the fullest pool is within 1.10 of the mean by capacity, and sets of pools differ", () => {
    const { fullest, emptiest } = balanceOf(withUse(pools, usedBy(groups)));
    expect(fullest).toBeLessThanOrEqual(1.1);
    expect(emptiest).toBeGreaterThanOrEqual(0.9);
    const sets = new Set(
      groups.map(({ shards }) =>
        shards
          .map(({ poolUuid }) => poolUuid)
          .sort()
          .join(),
      ),
    );
    expect(sets.size).toBeGreaterThan(groupCount * 0.99);
  });

  test("what is balanced stays where it is", () => {
    const plan = planRebalance({ groups, topology: { pools: withUse(pools, usedBy(groups)) }, tolerance });
    expect(plan).toEqual({ moves: [], complete: true, stuck: [] });
  });

  test("a node joins: it gets its fair share, and at most 1.2 times that moves", () => {
    const joined = [...pools, samplePool(nodes, 0, { capacityBytes: 600 * gib })];
    const plan = planRebalance({ groups, topology: { pools: withUse(joined, usedBy(groups)) }, tolerance });
    const total = joined.reduce((sum, pool) => sum + pool.capacityBytes, 0);
    const least = (groupCount * 6 * 600 * gib) / total;
    const after = balanceOf(withUse(joined, usedBy(groups, plan)));
    expect(plan.moves.length).toBeGreaterThan(0.9 * least);
    expect(plan.moves.length).toBeLessThanOrEqual(1.2 * least);
    expect(plan.moves.every((move) => move.reason === "balance" && move.to.nodeName === `node-${nodes}`)).toBe(true);
    expect(after.fullest).toBeLessThanOrEqual(1.1);
    expect(after.emptiest).toBeGreaterThanOrEqual(0.9);
  });

  test("a node leaves: only its shards move", () => {
    const gone = pools[3] as TopologyPool;
    const left = pools.filter((pool) => pool !== gone);
    const plan = planRebalance({ groups, topology: { pools: withUse(left, usedBy(groups)) }, tolerance });
    const least = groups.reduce(
      (sum, { shards }) => sum + shards.filter((s) => s.poolUuid === gone.poolUuid).length,
      0,
    );
    const after = balanceOf(withUse(left, usedBy(groups, plan)));
    expect(plan.stuck).toEqual([]);
    expect(plan.moves.filter((move) => move.reason === "evacuate")).toHaveLength(least);
    expect(plan.moves.length).toBeLessThanOrEqual(1.2 * least);
    expect(usedBy(groups, plan).has(gone.poolUuid)).toBe(false);
    expect(after.fullest).toBeLessThanOrEqual(1.1);
    const helpers = new Set(plan.moves.map((move) => move.to.poolUuid));
    expect(helpers.size).toBeGreaterThan(400);
  });
});
