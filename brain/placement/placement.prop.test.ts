import { describe, expect, test } from "bun:test";
import { type Code, lossesTolerated, shardCount } from "@couchestor/common/code/code.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import fc from "fast-check";
import type { PlaceRequest } from "./place-request.ts";
import { placeShards } from "./placement.ts";
import { domainName } from "./rule-view.ts";
import type { TopologyPool } from "./topology.ts";
import { samplePool } from "./topology-samples.ts";

const codes: Code[] = [
  { family: "rs", k: 2, m: 1 },
  { family: "rs", k: 2, m: 2 },
  { family: "rs", k: 3, m: 2 },
  { family: "rs", k: 4, m: 2 },
  { family: "replica", n: 1 },
  { family: "replica", n: 3 },
  { family: "lrc", k: 2, l: 2, g: 1 },
];

const poolArb = fc.record({
  node: fc.nat(4),
  offline: fc.nat(9),
  writable: fc.nat(9),
  rack: fc.option(fc.nat(3), { freq: 12 }),
  cold: fc.nat(5),
  free: fc.nat(6),
});

const caseArb = fc.record({
  pools: fc.array(poolArb, { minLength: 1, maxLength: 9 }),
  code: fc.constantFrom(...codes),
  domain: fc.constantFrom("node", "rack"),
  select: fc.boolean(),
  keepPools: fc.uniqueArray(fc.nat(8), { maxLength: 4 }),
  toPlace: fc.nat(6),
  seed: fc.nat(),
});

interface Case {
  pools: TopologyPool[];
  request: PlaceRequest;
}

function caseOf(raw: typeof caseArb extends fc.Arbitrary<infer T> ? T : never): Case {
  const pools = raw.pools.map((pool, number) =>
    samplePool(pool.node, number, {
      labels: {
        ...(pool.rack === null ? {} : { rack: `rack-${pool.rack}` }),
        tier: pool.cold > 0 ? "cold" : "hot",
      },
      online: pool.offline > 0,
      writable: pool.writable > 0,
      capacityBytes: 1000,
      usedBytes: pool.free === 0 ? 950 : 0,
    }),
  );
  const count = shardCount(raw.code);
  const keep = raw.keepPools
    .filter((number) => number < pools.length)
    .slice(0, count)
    .map((number, shardIndex) => ({ shardIndex, poolUuid: pools[number]?.poolUuid ?? "" }));
  const shardIndexes = Array.from({ length: count }, (_, i) => i).slice(keep.length, keep.length + raw.toPlace);
  const rule = { failureDomain: raw.domain, poolSelector: raw.select ? { tier: "cold" } : {} };
  return { pools, request: { code: raw.code, rule, keep, shardIndexes, bytesPerShard: 100, seed: raw.seed } };
}

function usable(pool: TopologyPool, { rule, keep, bytesPerShard }: PlaceRequest): boolean {
  return (
    pool.online &&
    pool.writable &&
    pool.usedBytes + bytesPerShard <= pool.capacityBytes &&
    domainName(pool, rule) !== undefined &&
    Object.entries(rule.poolSelector).every(([key, value]) => pool.labels[key] === value) &&
    !keep.some(({ poolUuid }) => poolUuid === pool.poolUuid)
  );
}

/** By trying every subset: the least L for which `wanted` pools fit with at most L shards in each domain that takes a new one; 0 for none. */
function leastLevel(pools: TopologyPool[], request: PlaceRequest): number {
  const max = Math.max(1, lossesTolerated(request.code));
  const free = pools.filter((pool) => usable(pool, request));
  const kept = pools.filter((pool) => request.keep.some(({ poolUuid }) => poolUuid === pool.poolUuid));
  let best = 0;
  for (let subset = 0; subset < 1 << free.length; subset++) {
    const chosen = free.filter((_, i) => (subset >> i) & 1);
    if (chosen.length !== request.shardIndexes.length) continue;
    const level = heaviest(chosen, kept, (pool) => domainName(pool, request.rule));
    const onNode = heaviest(chosen, kept, (pool) => pool.nodeName);
    if (level <= max && onNode <= max && (best === 0 || level < best)) best = Math.max(level, 1);
  }
  return best;
}

/** The most shards, kept ones counted, in any group that holds a chosen pool. */
function heaviest(
  chosen: TopologyPool[],
  kept: TopologyPool[],
  by: (pool: TopologyPool) => string | undefined,
): number {
  const held = (name: string | undefined) => [...chosen, ...kept].filter((pool) => by(pool) === name).length;
  return chosen.reduce((most, pool) => Math.max(most, held(by(pool))), 0);
}

describe("placement against trying every subset", () => {
  test("a placement is found exactly if there is one, as even as can be, and never breaks a rule", () => {
    let placed = 0;
    let refused = 0;
    fc.assert(
      fc.property(caseArb, (raw) => {
        const { pools, request } = caseOf(raw);
        const level = leastLevel(pools, request);
        try {
          const result = placeShards({ ...request, topology: { pools } });
          expect(level).toBeGreaterThan(0);
          const chosen = result.map(({ poolUuid }) => pools.find((pool) => pool.poolUuid === poolUuid) as TopologyPool);
          const kept = pools.filter((pool) => request.keep.some(({ poolUuid }) => poolUuid === pool.poolUuid));
          expect(result.map(({ shardIndex }) => shardIndex)).toEqual([...request.shardIndexes]);
          expect(new Set(chosen).size).toBe(chosen.length);
          for (const pool of chosen) expect(usable(pool, request)).toBe(true);
          expect(heaviest(chosen, kept, (pool) => domainName(pool, request.rule))).toBeLessThanOrEqual(level);
          const onNode = heaviest(chosen, kept, (pool) => pool.nodeName);
          expect(onNode).toBeLessThanOrEqual(Math.max(1, lossesTolerated(request.code)));
          expect(placeShards({ ...request, topology: { pools } })).toEqual(result);
          if (chosen.length > 0) placed++;
        } catch (error) {
          if (!isAppError(error, "FailedPrecondition")) throw error;
          expect(level).toBe(0);
          checkShortage(error.data, pools, request);
          refused++;
        }
      }),
      { numRuns: 4000, seed: 20260301 },
    );
    expect(placed).toBeGreaterThan(400);
    expect(refused).toBeGreaterThan(400);
  });
});

function checkShortage(data: Record<string, unknown>, pools: TopologyPool[], request: PlaceRequest): void {
  const free = pools.filter((pool) => usable(pool, request));
  expect(data["poolsUsable"]).toBe(free.length + request.keep.length);
  expect(data["poolsMissing"]).toBe(Math.max(0, request.shardIndexes.length - free.length));
  expect(data["shardsPlaceable"]).toBeLessThan(request.shardIndexes.length);
  const excluded = Object.values(data["excluded"] as Record<string, { count: number }>);
  expect(excluded.reduce((sum, { count }) => sum + count, 0)).toBe(pools.length - free.length);
}
