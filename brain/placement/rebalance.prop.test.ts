import { expect, setDefaultTimeout, test } from "bun:test";
import { type Code, lossesTolerated, shardCount } from "@couchestor/common/code/code.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import fc from "fast-check";
import { Placer } from "./placer.ts";
import { planRebalance, type RebalancePlan } from "./rebalance.ts";
import type { RebalanceGroup } from "./rebalance-state.ts";
import { domainName } from "./rule-view.ts";
import type { TopologyPool } from "./topology.ts";
import { samplePool } from "./topology-samples.ts";

// Seconds on an idle machine, and several times that on a busy one.
setDefaultTimeout(60_000);

const codes: Code[] = [
  { family: "rs", k: 2, m: 1 },
  { family: "rs", k: 4, m: 2 },
  { family: "replica", n: 2 },
];
const bytesPerShard = 100;

const caseArb = fc.record({
  nodes: fc.integer({ min: 2, max: 8 }),
  poolsPerNode: fc.integer({ min: 1, max: 3 }),
  racks: fc.integer({ min: 2, max: 4 }),
  groups: fc.array(fc.record({ code: fc.nat(2), domain: fc.constantFrom("node", "rack") }), { maxLength: 30 }),
  joining: fc.nat(3),
  leaving: fc.array(fc.nat(23), { maxLength: 4 }),
  offline: fc.array(fc.nat(23), { maxLength: 3 }),
  readOnly: fc.array(fc.nat(23), { maxLength: 2 }),
  tight: fc.boolean(),
  tolerance: fc.constantFrom(0, 0.05, 0.3),
});
type Raw = typeof caseArb extends fc.Arbitrary<infer T> ? T : never;

function poolsOf(raw: Raw, nodes: number): TopologyPool[] {
  return Array.from({ length: nodes * raw.poolsPerNode }, (_, i) => {
    const node = Math.floor(i / raw.poolsPerNode);
    const capacityBytes = (raw.tight ? 900 : 5000) * (1 + (i % 3));
    return samplePool(node, i, { labels: { rack: `rack-${node % raw.racks}` }, capacityBytes });
  });
}

function placedGroups(raw: Raw, pools: readonly TopologyPool[]): RebalanceGroup[] {
  const placer = new Placer({ pools });
  return raw.groups.flatMap(({ code: number, domain }, i) => {
    const code = codes[number] as Code;
    const rule = { failureDomain: domain, poolSelector: {} };
    const shardIndexes = Array.from({ length: shardCount(code) }, (_, shard) => shard);
    try {
      const shards = placer.place({ code, rule, keep: [], shardIndexes, bytesPerShard, seed: i });
      return [{ id: `g-${i}`, code, rule, shards, bytesPerShard }];
    } catch (error) {
      if (isAppError(error, "FailedPrecondition")) return [];
      throw error;
    }
  });
}

function applied(groups: readonly RebalanceGroup[], plan: RebalancePlan): RebalanceGroup[] {
  const moves = new Map(plan.moves.map((move) => [`${move.groupId}/${move.shardIndex}`, move]));
  expect(moves.size).toBe(plan.moves.length);
  return groups.map((group) => ({
    ...group,
    shards: group.shards.map((shard) => {
      const move = moves.get(`${group.id}/${shard.shardIndex}`);
      if (move) expect(move.fromPoolUuid).toBe(shard.poolUuid);
      return move ? move.to : shard;
    }),
  }));
}

function withUse(pools: readonly TopologyPool[], groups: readonly RebalanceGroup[]): TopologyPool[] {
  const used = new Map<string, number>();
  for (const { shards } of groups) {
    for (const { poolUuid } of shards) used.set(poolUuid, (used.get(poolUuid) ?? 0) + bytesPerShard);
  }
  return pools.map((pool) => ({ ...pool, usedBytes: used.get(pool.poolUuid) ?? 0 }));
}

/** The most shards in one failure domain and on one node, of those that can be read: one that is stuck in an offline pool is lost. */
function counts(group: RebalanceGroup, pools: readonly TopologyPool[]) {
  const here = group.shards.flatMap(
    ({ poolUuid }) => pools.find((pool) => pool.online && pool.poolUuid === poolUuid) ?? [],
  );
  const most = (by: (pool: TopologyPool) => string | undefined) =>
    Math.max(0, ...Object.values(Object.groupBy(here, (pool) => by(pool) ?? "")).map((same) => same?.length ?? 0));
  return { domain: most((pool) => domainName(pool, group.rule)), node: most((pool) => pool.nodeName) };
}

test("whatever joins and leaves: moves keep every rule, leave nothing where it can't stay, and settle", () => {
  let moves = 0;
  fc.assert(
    fc.property(caseArb, (raw) => {
      const groups = placedGroups(raw, poolsOf(raw, raw.nodes));
      const next = poolsOf(raw, raw.nodes + raw.joining)
        .filter((_, i) => !raw.leaving.includes(i))
        .map((pool, i) => ({ ...pool, online: !raw.offline.includes(i), writable: !raw.readOnly.includes(i) }));
      const pools = withUse(next, groups);
      const plan = planRebalance({ groups, topology: { pools }, tolerance: raw.tolerance });
      moves += plan.moves.length;
      const after = applied(groups, plan);
      const stuck = new Set(
        plan.stuck.flatMap(({ groupId, shardIndexes }) => shardIndexes.map((s) => `${groupId}/${s}`)),
      );
      const byUuid = new Map(pools.map((pool) => [pool.poolUuid, pool]));
      for (const [i, group] of after.entries()) {
        const now = counts(group, pools);
        const before = counts(groups[i] as RebalanceGroup, pools);
        const max = Math.max(1, lossesTolerated(group.code));
        expect(now.domain).toBeLessThanOrEqual(Math.max(max, before.domain));
        expect(now.node).toBeLessThanOrEqual(Math.max(max, before.node));
        expect(new Set(group.shards.map(({ poolUuid }) => poolUuid)).size).toBe(group.shards.length);
        for (const { poolUuid, shardIndex } of group.shards) {
          if (!byUuid.get(poolUuid)?.online) expect(stuck.has(`${group.id}/${shardIndex}`)).toBe(true);
        }
      }
      for (const { to } of plan.moves) expect(byUuid.get(to.poolUuid)).toMatchObject({ online: true, writable: true });
      const settled = withUse(next, after);
      for (const pool of settled) {
        const before = byUuid.get(pool.poolUuid)?.usedBytes ?? 0;
        expect(pool.usedBytes).toBeLessThanOrEqual(Math.max(before, pool.capacityBytes));
      }
      const again = planRebalance({ groups: after, topology: { pools: settled }, tolerance: raw.tolerance });
      // What was stuck may fit once the moves have made room.
      const evacuated = again.moves.filter(({ reason }) => reason === "evacuate");
      for (const { groupId, shardIndex } of evacuated) expect(stuck.has(`${groupId}/${shardIndex}`)).toBe(true);
    }),
    { numRuns: 1500, seed: 20260302 },
  );
  expect(moves).toBeGreaterThan(5000);
});
