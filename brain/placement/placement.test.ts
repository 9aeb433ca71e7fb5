import { describe, expect, test } from "bun:test";
import type { Code } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { placeShards } from "./placement.ts";
import type { PlacementShortage } from "./placement-error.ts";
import { Placer } from "./placer.ts";
import { gib, samplePool, samplePools } from "./topology-samples.ts";

const code: Code = { family: "rs", k: 4, m: 2 };
const rule = { failureDomain: "node", poolSelector: {} };
const all = [0, 1, 2, 3, 4, 5];
const request = { code, rule, keep: [], shardIndexes: all, bytesPerShard: gib, seed: 1 };

function shortage(run: () => unknown): { message: string; data: PlacementShortage } {
  try {
    run();
  } catch (error) {
    if (error instanceof AppError && error.code === "FailedPrecondition") {
      return { message: error.message, data: error.data as PlacementShortage };
    }
    throw error;
  }
  throw new Error("was placed");
}

const perNode = (placed: readonly { nodeName: string }[]) =>
  Object.values(Object.groupBy(placed, ({ nodeName }) => nodeName)).map((shards) => shards?.length ?? 0);

describe("six nodes of two pools, code 4+2", () => {
  const six = samplePools(6, 2);

  test("all nodes up: one shard a node", () => {
    for (let seed = 0; seed < 200; seed++) {
      expect(perNode(placeShards({ ...request, seed, topology: { pools: six } }))).toEqual([1, 1, 1, 1, 1, 1]);
    }
  });

  test("two nodes lost: the lost shards go onto the four left, one a pool, at most two a node", () => {
    for (let seed = 0; seed < 200; seed++) {
      const before = placeShards({ ...request, seed, topology: { pools: six } });
      const gone = new Set([`node-${seed % 6}`, `node-${(seed + 1 + (seed % 5)) % 6}`]);
      const pools = six.map((pool) => ({ ...pool, online: !gone.has(pool.nodeName) }));
      const keep = before.filter(({ nodeName }) => !gone.has(nodeName));
      const lost = before.filter(({ nodeName }) => gone.has(nodeName)).map(({ shardIndex }) => shardIndex);
      expect(lost).toHaveLength(2);
      const rebuilt = [...keep, ...placeShards({ ...request, keep, shardIndexes: lost, seed, topology: { pools } })];
      expect(new Set(rebuilt.map(({ poolUuid }) => poolUuid)).size).toBe(6);
      expect(perNode(rebuilt).sort()).toEqual([1, 1, 2, 2]);
    }
  });

  test("four nodes lost: the error says how many pools and domains there are, are needed and are missing, and why", () => {
    const pools = six.map((pool, i) => ({ ...pool, online: i >= 8 }));
    const { data, message } = shortage(() => placeShards({ ...request, topology: { pools } }));
    expect(data).toMatchObject({
      poolsUsable: 4,
      poolsNeeded: 6,
      poolsMissing: 2,
      domainsUsable: 2,
      domainsNeeded: 3,
      domainsMissing: 1,
      domainsForOneShardEach: 6,
      shardsPerDomainMax: 2,
      shardsPlaceable: 4,
    });
    expect(data.excluded.offline).toEqual({
      count: 8,
      pools: six.slice(0, 8).map((p) => `${p.nodeName}/${p.poolName}`),
    });
    for (const part of [
      "4+2",
      "4 of 6",
      "6 pools in 3",
      "missing: 2 pools and 1 failure domain",
      "8 offline (node-0/pool-0",
    ]) {
      expect(message).toContain(part);
    }
  });
});

test("each reason to exclude a pool is told apart", () => {
  const pools = [
    samplePool(0, 0, { labels: { tier: "cold", zone: "a" }, online: false }),
    samplePool(1, 0, { labels: { tier: "cold", zone: "b" }, writable: false }),
    samplePool(2, 0, { labels: { tier: "hot", zone: "c" } }),
    samplePool(3, 0, { labels: { tier: "cold" } }),
    samplePool(4, 0, { labels: { tier: "cold", zone: "d" }, usedBytes: 1000 * gib }),
    samplePool(5, 0, { labels: { tier: "cold", zone: "e" } }),
    samplePool(6, 0, { labels: { tier: "cold", zone: "f" } }),
  ];
  const keep = [{ shardIndex: 0, poolUuid: pools[5]?.poolUuid ?? "" }];
  const topology = { pools };
  const asked = { failureDomain: "zone", poolSelector: { tier: "cold" } };
  const { data, message } = shortage(() =>
    placeShards({ ...request, rule: asked, keep, shardIndexes: [1, 2, 3, 4, 5], topology }),
  );
  expect(Object.fromEntries(Object.entries(data.excluded).map(([reason, { pools }]) => [reason, pools]))).toEqual({
    offline: ["node-0/pool-0"],
    readOnly: ["node-1/pool-0"],
    labelMismatch: ["node-2/pool-0"],
    noDomainLabel: ["node-3/pool-0"],
    full: ["node-4/pool-0"],
    used: ["node-5/pool-0"],
  });
  expect(message).toContain("tier=cold");
});

test("at most m a node also when the failure domain is finer than a node", () => {
  const pools = samplePools(2, 6).map((pool, i) => ({ ...pool, labels: { disk: `disk-${i}` } }));
  const fine = { failureDomain: "disk", poolSelector: {} };
  const { data } = shortage(() => placeShards({ ...request, rule: fine, topology: { pools } }));
  expect(data.shardsPlaceable).toBe(4);
  const third = samplePools(3, 2).map((pool, i) => ({ ...pool, labels: { disk: `disk-${i}` } }));
  expect(perNode(placeShards({ ...request, rule: fine, topology: { pools: third } }))).toEqual([2, 2, 2]);
});

test("the seed decides: the same gives the same, others give many different sets of pools", () => {
  const topology = { pools: samplePools(20, 2) };
  const sets = new Set<string>();
  for (let seed = 0; seed < 300; seed++) {
    const placed = placeShards({ ...request, seed, topology });
    expect(placeShards({ ...request, seed, topology })).toEqual(placed);
    sets.add(
      placed
        .map(({ poolUuid }) => poolUuid)
        .sort()
        .join(),
    );
  }
  expect(sets.size).toBeGreaterThan(295);
});

test("room for some only: as many as fit are placed, the first ones asked for, and the error says why not all", () => {
  const pools = samplePools(5, 1);
  const keep = [0, 1, 2, 3].map((i) => ({ shardIndex: i + 1, poolUuid: pools[i]?.poolUuid ?? "" }));
  const { placed, shortage: why } = new Placer({ pools }).placeAsMany({ ...request, keep, shardIndexes: [5, 0] });
  expect(placed).toEqual([
    { shardIndex: 5, poolUuid: pools[4]?.poolUuid ?? "", nodeName: "node-4", poolName: "pool-0" },
  ]);
  expect(why?.data).toMatchObject({ shardsToPlace: 2, shardsPlaceable: 1, poolsMissing: 1 });
  const none = new Placer({ pools: pools.slice(0, 4) }).placeAsMany({ ...request, keep, shardIndexes: [5, 0] });
  expect(none.placed).toEqual([]);
  expect(none.shortage?.data["shardsPlaceable"]).toBe(0);
});

test("a failed placement counts no bytes", () => {
  const placer = new Placer({ pools: samplePools(2, 2) });
  shortage(() => placer.place(request));
  expect([...placer.index.usedBytes]).toEqual([0, 0, 0, 0]);
});

test("requests that make no sense are InvalidArgument", () => {
  const topology = { pools: samplePools(6, 2) };
  const bad = [
    { ...request, shardIndexes: [0, 0] },
    { ...request, shardIndexes: [6] },
    { ...request, shardIndexes: [0], keep: [{ shardIndex: 0, poolUuid: "x" }] },
    { ...request, bytesPerShard: Number.NaN },
    { ...request, bytesPerShard: -1 },
  ];
  for (const spoiled of bad) expect(() => placeShards({ ...spoiled, topology })).toThrow(/placement: /);
  const twice = [samplePool(1, 1), samplePool(1, 1)];
  expect(() => placeShards({ ...request, topology: { pools: twice } })).toThrow(/there twice/);
  expect(() => placeShards({ ...request, topology: { pools: [samplePool(1, 1, { usedBytes: -1 })] } })).toThrow(
    /usedBytes/,
  );
});
