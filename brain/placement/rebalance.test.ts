import { describe, expect, test } from "bun:test";
import type { Code } from "@couchestor/common/code/code.ts";
import { Placer } from "./placer.ts";
import { planRebalance } from "./rebalance.ts";
import type { RebalanceGroup } from "./rebalance-state.ts";
import type { TopologyPool } from "./topology.ts";
import { gib, samplePools } from "./topology-samples.ts";

const code: Code = { family: "rs", k: 4, m: 2 };
const rule = { failureDomain: "node", poolSelector: {} };

function groupsOn(pools: TopologyPool[], count: number, asked = rule): RebalanceGroup[] {
  const placer = new Placer({ pools });
  return Array.from({ length: count }, (_, i) => {
    const request = { code, rule: asked, keep: [], shardIndexes: [0, 1, 2, 3, 4, 5], bytesPerShard: gib, seed: i };
    return { id: `g-${i}`, code, rule: asked, shards: placer.place(request), bytesPerShard: gib };
  });
}

function withUse(pools: TopologyPool[], groups: RebalanceGroup[]): TopologyPool[] {
  const shards = groups.flatMap((group) => group.shards);
  return pools.map((pool) => ({ ...pool, usedBytes: gib * shards.filter((s) => s.poolUuid === pool.poolUuid).length }));
}

describe("rebalance of a small cluster", () => {
  test("four nodes, two more join: shards that share a node spread out, one a node", () => {
    const groups = groupsOn(samplePools(4, 2), 30);
    const pools = withUse(samplePools(6, 2), groups);
    const plan = planRebalance({ groups, topology: { pools }, tolerance: 0.1 });
    expect(plan.moves.filter(({ reason }) => reason === "spread")).toHaveLength(60);
    for (const group of groups) {
      const nodes = group.shards.map((shard) => {
        const move = plan.moves.find((m) => m.groupId === group.id && m.shardIndex === shard.shardIndex);
        return (move?.to ?? pools.find((pool) => pool.poolUuid === shard.poolUuid))?.nodeName;
      });
      expect(new Set(nodes).size).toBe(6);
    }
  });

  test("a pool that fills beyond the tolerance is drained within its own node where no other may take its shards", () => {
    const pools = samplePools(6, 2);
    const groups = Array.from({ length: 40 }, (_, i) => ({
      id: `g-${i}`,
      code,
      rule,
      bytesPerShard: gib,
      shards: [0, 1, 2, 3, 4, 5].map((node) => ({ shardIndex: node, poolUuid: pools[2 * node]?.poolUuid ?? "" })),
    }));
    const plan = planRebalance({ groups, topology: { pools: withUse(pools, groups) }, tolerance: 0.05 });
    expect(plan.moves).toHaveLength(6 * 20);
    for (const { shardIndex, to } of plan.moves)
      expect(to).toMatchObject({ nodeName: `node-${shardIndex}`, poolName: "pool-1" });
  });

  test("maxMoves cuts the plan short, the most urgent kept", () => {
    const groups = groupsOn(samplePools(7, 1), 50);
    const left = withUse(samplePools(7, 1), groups).filter((pool) => pool.nodeName !== "node-3");
    const whole = planRebalance({ groups, topology: { pools: left }, tolerance: 0.05 });
    const cut = planRebalance({ groups, topology: { pools: left }, tolerance: 0.05, movesMax: 10 });
    expect(whole.complete).toBe(true);
    expect(cut.complete).toBe(false);
    expect(cut.moves).toEqual(whole.moves.slice(0, 10));
    expect(cut.moves.every(({ reason }) => reason === "evacuate")).toBe(true);
  });

  test("pools too few: the groups are named with what is missing, and nothing is moved for them", () => {
    const groups = groupsOn(samplePools(6, 1), 3);
    const left = withUse(samplePools(6, 1), groups).slice(0, 5);
    const plan = planRebalance({ groups, topology: { pools: left }, tolerance: 1 });
    expect(plan.moves).toEqual([]);
    expect(plan.stuck.map(({ groupId }) => groupId)).toEqual(["g-0", "g-1", "g-2"]);
    expect(plan.stuck[0]?.error.data["poolsMissing"]).toBe(1);
  });

  test("rules are balanced apart: cold groups never move to hot pools", () => {
    const cold = { failureDomain: "node", poolSelector: { tier: "cold" } };
    const pools = samplePools(8, 2).map((pool, i) => ({ ...pool, labels: { tier: i % 2 ? "cold" : "hot" } }));
    const groups = groupsOn(pools.slice(0, 12), 40, cold);
    const plan = planRebalance({ groups, topology: { pools: withUse(pools, groups) }, tolerance: 0.05 });
    expect(plan.moves.length).toBeGreaterThan(20);
    expect(plan.moves.every(({ to }) => to.poolName === "pool-1")).toBe(true);
    const relabelled = pools.map((pool, i) => (i === 1 ? { ...pool, labels: { tier: "hot" } } : pool));
    const away = planRebalance({ groups, topology: { pools: withUse(relabelled, groups) }, tolerance: 1 });
    const there = groups.flatMap(({ shards }) => shards).filter(({ poolUuid }) => poolUuid === pools[1]?.poolUuid);
    expect(away.moves.filter(({ reason }) => reason === "evacuate")).toHaveLength(there.length);
  });

  test("a tolerance that is none is refused", () => {
    for (const tolerance of [-0.1, 1.5, Number.NaN]) {
      expect(() => planRebalance({ groups: [], topology: { pools: [] }, tolerance })).toThrow(/tolerance/);
    }
  });
});
