import { expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { TestCluster, until } from "../testing/test-cluster.ts";
import { chunkKeyOf } from "./shard-places.ts";

function keyOf(cluster: TestCluster, runIndex: number, stripe: number, shardIndex: number) {
  return chunkKeyOf({ volume: cluster.volume, run: cluster.run(runIndex), nodes: [], stripe }, shardIndex);
}

async function loseShard(cluster: TestCluster, shardIndex: number): Promise<void> {
  for (const [runIndex, run] of cluster.runs.entries()) {
    const location = run.shardLocations.find((l) => l.shardIndex === shardIndex);
    if (location === undefined) continue;
    const agent = cluster.agents.find(({ nodeName }) => nodeName === location.nodeName);
    const names = Array.from({ length: run.stripeCount }, (_, i) => ({
      ...keyOf(cluster, runIndex, run.firstStripe + i, shardIndex),
      putEpoch: location.putEpoch,
      putAct: location.putAct,
    }));
    const gone = await agent?.store.delete({ orderedBy: { epoch: 1, actNo: 1 }, reason: "garbage", names });
    expect(gone?.deleted).toBe(names.length);
  }
}

test("what was written is read, whole and in any part, and never-written stripes are zeros", async () => {
  await using cluster = await TestCluster.create();
  expect(Buffer.compare(await cluster.read(), new Uint8Array(cluster.content.byteLength))).toBe(0);
  for (const agent of cluster.agents) agent.maps.forget(cluster.volume.volumeUuid);
  await cluster.write();
  expect(Buffer.compare(await cluster.read(), cluster.content)).toBe(0);
  for (const [offset, length] of [
    [0, 1],
    [65_535, 2],
    [16_383, 20_000],
    [199_999, 1],
    [131_072, 68_928],
    [77, 0],
  ] as const) {
    const got = await cluster.read(cluster.agent(3), offset, length);
    expect(Buffer.compare(got, cluster.content.subarray(offset, offset + length))).toBe(0);
  }
});

test("every loss of one or two shards of 4+2 reads back the same bytes", async () => {
  await using cluster = await TestCluster.create({ sizeBytes: 100_000 });
  await cluster.write();
  for (let a = 0; a < 6; a++) {
    for (let b = a; b < 6; b++) {
      for (const [i, agent] of cluster.agents.entries()) agent.online = i !== a && i !== b;
      for (const [i, agent] of cluster.agents.entries()) agent.hung = i === a || i === b;
      const reader = cluster.agents.find((_, i) => i !== a && i !== b);
      reader?.maps.forget(cluster.volume.volumeUuid);
      expect(Buffer.compare(await cluster.read(reader), cluster.content)).toBe(0);
    }
  }
});

test("a degraded read of 4 KiB moves four times 4 KiB of chunk data, and no more", async () => {
  await using cluster = await TestCluster.create({ sizeBytes: 65_536, agents: 7 });
  await cluster.write();
  await loseShard(cluster, 1);
  const reader = cluster.agent(6);
  const before = { ...reader.reader.counts };
  const got = await cluster.read(reader, 16_384 + 4096, 4096);
  expect(Buffer.compare(got, cluster.content.subarray(20_480, 24_576))).toBe(0);
  expect(reader.reader.counts.bytesRead - before.bytesRead).toBe(4 * 4096);
  expect(reader.reader.counts.chunksRead - before.chunksRead).toBe(4);
  const healthy = { ...reader.reader.counts };
  await cluster.read(reader, 0, 4096);
  expect(reader.reader.counts.bytesRead - healthy.bytesRead).toBe(4096);
});

test("a chunk corrupt on disk is never returned: other shards are used", async () => {
  await using cluster = await TestCluster.create();
  await cluster.write();
  await cluster.agent(0).flip(keyOf(cluster, 0, 0, 0), "data");
  await cluster.agent(2).flip(keyOf(cluster, 0, 1, 2), "header");
  expect(Buffer.compare(await cluster.read(), cluster.content)).toBe(0);
  expect(cluster.agent(5).reader.counts.degradedStripes).toBeGreaterThanOrEqual(1);
});

test("a hung agent costs one timeout, then others are asked first", async () => {
  await using cluster = await TestCluster.create({ readTimeoutMs: 1_000, sizeBytes: 400_000 });
  await cluster.write();
  cluster.agent(1).hung = true;
  expect(Buffer.compare(await cluster.read(), cluster.content)).toBe(0);
  const asked = cluster.agent(1).leftHanging;
  expect(asked).toBeGreaterThan(0);
  expect(Buffer.compare(await cluster.read(), cluster.content)).toBe(0);
  expect(cluster.agent(1).leftHanging).toBe(asked);
});

test("with more than m shards gone the error names stripes, shards, pools, nodes and why", async () => {
  await using cluster = await TestCluster.create();
  await cluster.write();
  await loseShard(cluster, 0);
  await cluster.agent(1).die();
  cluster.agent(2).online = false;
  await cluster.agent(2).die();
  const error = await cluster.read().catch((e) => e);
  expect(error).toMatchObject({ code: "Unrecoverable", data: { volume: "vol", code: "4+2", stripes: [0] } });
  const missing = (error as AppError).data["missing"] as {
    shardIndex: number;
    nodeName: string;
    poolName: string;
    why: string;
  }[];
  expect(
    missing.map(({ shardIndex, nodeName, poolName, why }) => `${shardIndex} ${nodeName} ${poolName} ${why}`),
  ).toEqual(["0 n0 p absent", "1 n1 p unreachable", "2 n2 p unreachable"]);
  expect(error.message).toContain(
    "stripe 0 (4+2) can't be reconstructed: 3 shards are missing: 0 (pool p on n0: absent)",
  );
});

test("an absent chunk makes the reader look at the map again: a moved shard is found at its new place", async () => {
  await using cluster = await TestCluster.create({ sizeBytes: 65_536, agents: 7 });
  await cluster.write();
  const reader = cluster.agent(6);
  await cluster.read(reader);
  const moved = {
    ...cluster.targets(0)[3],
    shardIndex: 3,
    poolUuid: reader.poolUuid,
    nodeName: "n6",
    poolName: "p",
    putEpoch: 0,
    putAct: 0,
  };
  const task = cluster.rebuildTask(0, [moved]);
  cluster.agent(4).acts.accept(task);
  await until(() => cluster.reports.length === 2);
  await loseShard(cluster, 3);
  cluster.run(0).shardLocations[3] = task.targets[0] as (typeof task.targets)[number];
  const before = reader.reader.counts.degradedStripes;
  const asked = cluster.mapsAsked;
  expect(Buffer.compare(await cluster.read(reader), cluster.content)).toBe(0);
  expect(cluster.mapsAsked).toBeGreaterThan(asked);
  expect(reader.reader.counts.degradedStripes).toBe(before);
});

test("while the brain is down the last known map serves; without one the brain's error is told", async () => {
  await using cluster = await TestCluster.create();
  await cluster.write();
  await cluster.read();
  cluster.brainFailure = new AppError("Unavailable", "the brain is down");
  await loseShard(cluster, 0);
  expect(Buffer.compare(await cluster.read(), cluster.content)).toBe(0);
  await expect(cluster.read(cluster.agent(1))).rejects.toThrow("the brain is down");
});

test("a single chunk that a repair put elsewhere is read from there", async () => {
  await using cluster = await TestCluster.create({ agents: 7 });
  await cluster.write();
  const target = {
    shardIndex: 2,
    poolUuid: cluster.agent(6).poolUuid,
    nodeName: "n6",
    poolName: "p",
    putEpoch: 0,
    putAct: 0,
  };
  const task = cluster.rebuildTask(0, [target], [{ stripe: 1, shardIndex: 2 }]);
  cluster.agent(0).acts.accept(task);
  await until(() => cluster.reports.some(({ kind }) => kind === "rebuild"));
  expect(cluster.reports.at(-1)).toMatchObject({ outcome: "done", counts: { chunksPut: 1 } });
  const { putEpoch, putAct } = task.targets[0] as (typeof task.targets)[number];
  cluster.run(0).exceptions = [
    { stripe: 1, shardIndex: 2, poolUuid: cluster.agent(6).poolUuid, putEpoch, putAct, present: true },
  ];
  await loseShard(cluster, 2);
  for (const by of [cluster.agent(6), cluster.agent(3)]) {
    const got = await cluster.read(by, 65_536, 65_536);
    expect(Buffer.compare(got, cluster.content.subarray(65_536, 131_072))).toBe(0);
    expect(by.reader.counts.degradedStripes).toBe(0);
  }
});
