import { expect, test } from "bun:test";
import { actKey } from "@couchestor/common/api/acts.ts";
import { shardBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { coding, type TestAgent } from "../testing/test-agent.ts";
import { epoch, TestCluster, until } from "../testing/test-cluster.ts";
import { chunkKeyOf } from "./shard-places.ts";
import { StripeImages } from "./stripe-images.ts";
import { scatter, stripeBytesOf } from "./stripe-layout.ts";

function keyOf(cluster: TestCluster, runIndex: number, stripe: number, shardIndex: number) {
  return chunkKeyOf({ volume: cluster.volume, run: cluster.run(runIndex), nodes: [], stripe }, shardIndex);
}

function put(agent: TestAgent, key: string, body: BodyLike): Promise<Response> {
  return fetch(`${agent.adminUrl}/v1/acts/${key}/data`, { method: "PUT", body });
}
async function detailOf(response: Response): Promise<string> {
  return ((await response.json()) as { detail: string }).detail;
}
type BodyLike = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array>;

async function report(cluster: TestCluster, count = 1) {
  await until(() => cluster.reports.length >= count);
  return cluster.reports[count - 1];
}

test("encoding reports the content's sha256 and counts, and answers after the owner did", async () => {
  await using cluster = await TestCluster.create();
  const task = cluster.encodeTask(0);
  const agent = cluster.agent(2);
  expect(agent.acts.accept(task)).toBe("accepted");
  expect(agent.acts.accept(task)).toBe("known");
  expect(agent.acts.progress()).toMatchObject([{ stripesDone: 0, stripesTotal: 2 }]);
  const content = cluster.content.subarray(0, 131_072);
  const answer = await put(agent, actKey(task.act), content);
  const sha256 = new Bun.CryptoHasher("sha256").update(content).digest("hex");
  expect(await answer.json()).toEqual({ result: "committed", contentSha256: sha256, codec: "typescript" });
  expect(cluster.reports).toMatchObject([
    { kind: "encode", outcome: "done", contentSha256: sha256, counts: { stripes: 2, chunksPut: 12 } },
  ]);
  expect(agent.acts.progress()).toEqual([]);
  expect(agent.acts.accept(task)).toBe("known");
  const late = await put(agent, actKey(task.act), content);
  expect(late.status).toBe(404);
  expect(agent.budget.usedBytes).toBe(0);
});

test("a sender that stops halfway, sends too much or declares another length fails the act", async () => {
  await using cluster = await TestCluster.create();
  const agent = cluster.agent(0);
  const task = cluster.encodeTask(0);
  agent.acts.accept(task);
  const wrong = await put(agent, actKey(task.act), cluster.content.subarray(0, 1000));
  expect([wrong.status, await detailOf(wrong)]).toEqual([400, "content-length: got 1000, allowed: exactly 131072"]);
  const halfway = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(cluster.content.subarray(0, 70_000));
      controller.close();
    },
  });
  const short = await put(agent, actKey(task.act), halfway);
  expect([short.status, await detailOf(short)]).toEqual([400, "body: the body ended after 70000 of 131072 bytes"]);
  expect(await report(cluster)).toMatchObject({ outcome: "failed", error: { code: "InvalidArgument" } });

  const second = cluster.encodeTask(0);
  agent.acts.accept(second);
  const stop = new AbortController();
  const endless = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(cluster.content.subarray(0, 70_000)),
  });
  const upload = fetch(`${agent.adminUrl}/v1/acts/${actKey(second.act)}/data`, {
    method: "PUT",
    body: endless,
    signal: stop.signal,
  });
  await until(() => (agent.acts.progress()[0]?.bytesMoved ?? 0) >= 65_536);
  stop.abort();
  await expect(upload).rejects.toThrow();
  expect(await report(cluster, 2)).toMatchObject({ outcome: "failed", error: { code: "InvalidArgument" } });
  await until(() => agent.budget.usedBytes === 0);
});

test("a shard that can't be put fails the act and names the pool", async () => {
  await using cluster = await TestCluster.create();
  const task = cluster.encodeTask(0);
  await cluster.agent(4).die();
  cluster.agent(0).acts.accept(task);
  const answer = await put(cluster.agent(0), actKey(task.act), cluster.content.subarray(0, 131_072));
  expect(answer.status).toBe(503);
  expect(await detailOf(answer)).toContain("shard 4 could not be put into pool p on n4");
  expect(await report(cluster)).toMatchObject({
    outcome: "failed",
    error: { code: "Unavailable", data: { shardIndex: 4, nodeName: "n4" } },
  });
});

test("a report is repeated until the brain answers", async () => {
  await using cluster = await TestCluster.create();
  await cluster.write();
  cluster.brainFailure = new AppError("Unavailable", "the brain is down");
  const agent = cluster.agent(1);
  agent.acts.accept(cluster.scrubTask(0, false));
  await until(() => agent.acts.progress()[0]?.stripesDone === 2);
  expect(cluster.reports).toHaveLength(2);
  expect(agent.acts.active).toBe(1);
  cluster.brainFailure = undefined;
  expect(await report(cluster, 3)).toMatchObject({
    kind: "scrub",
    outcome: "done",
    findings: [],
    counts: { chunksRead: 12 },
  });
  await until(() => agent.acts.active === 0);
});

test("an act its owner stops ends, holds nothing, and is not reported", async () => {
  await using cluster = await TestCluster.create();
  const agent = cluster.agent(0);
  const task = cluster.encodeTask(0);
  agent.acts.accept(task);
  const endless = new ReadableStream<Uint8Array>({
    start: (controller) => controller.enqueue(cluster.content.subarray(0, 70_000)),
  });
  const upload = put(agent, actKey(task.act), endless);
  await until(() => (agent.acts.progress()[0]?.bytesMoved ?? 0) >= 65_536);
  const stopped = await fetch(`${agent.url}/v1/acts/${actKey(task.act)}`, { method: "DELETE" });
  expect(stopped.status).toBe(204);
  expect((await upload).status).toBe(499);
  expect(agent.acts.active).toBe(0);
  expect(agent.budget.usedBytes).toBe(0);
  expect(cluster.reports).toEqual([]);
  const unknown = await fetch(`${agent.url}/v1/acts/${cluster.volume.volumeUuid}.1.99`, { method: "DELETE" });
  expect(unknown.status).toBe(404);
});

test("tasks that contradict themselves are refused before anything is put", async () => {
  await using cluster = await TestCluster.create();
  const { acts } = cluster.agent(0);
  const task = cluster.encodeTask(0);
  expect(() => acts.accept({ ...task, contentBytes: 5 })).toThrow("contentBytes: got 5, allowed: 131072");
  expect(() => acts.accept({ ...task, targets: task.targets.slice(1) })).toThrow(
    "targets: got shards 1, 2, 3, 4, 5, allowed: each of 0 … 5 once",
  );
  expect(() => acts.accept({ ...task, generation: 0 })).toThrow("generation: got 0");
  const foreign = task.targets.map((target) => ({ ...target, putAct: 77 }));
  expect(() => acts.accept({ ...task, targets: foreign })).toThrow("targets.putAct: got 4294967296.77");
  expect(() => acts.accept(cluster.rebuildTask(0, cluster.targets(1)))).toThrow("run.generation: got 0");
});

test("two lost columns are rebuilt onto other nodes, byte for byte, as parts of the same encoding", async () => {
  await using cluster = await TestCluster.create({ agents: 8 });
  await cluster.write();
  await cluster.agent(0).die();
  await cluster.agent(5).die();
  cluster.agent(0).online = cluster.agent(5).online = false;
  for (const [i] of cluster.runs.entries()) {
    const place = (shardIndex: number, node: number) => ({
      ...cluster.targets(0)[shardIndex],
      shardIndex,
      nodeName: `n${node}`,
      poolUuid: cluster.agent(node).poolUuid,
      poolName: "p",
      putEpoch: 0,
      putAct: 0,
    });
    const task = cluster.rebuildTask(i, [place(0, 6), place(5, 7)]);
    cluster.agent(3).acts.accept(task);
    const done = await report(cluster, cluster.runs.length + 1 + i);
    expect(done).toMatchObject({ kind: "rebuild", outcome: "done" });
    for (const target of task.targets) cluster.run(i).shardLocations[target.shardIndex] = target;
  }
  const info = (await cluster.agent(6).store.list({ limit: 1 })).chunks[0]?.info;
  expect(info).toMatchObject({
    shardIndex: 0,
    generation: 1,
    encodeEpoch: epoch,
    encodeAct: 1,
    putAct: 3,
    placementVersion: 2,
  });
  await cluster.agent(1).die();
  await cluster.agent(2).die();
  expect(Buffer.compare(await cluster.read(cluster.agent(7)), cluster.content)).toBe(0);
});

test("scrub finds flips in data, header and parity, shards that are gone and holders that don't answer", async () => {
  await using cluster = await TestCluster.create();
  await cluster.write();
  await cluster.agent(0).flip(keyOf(cluster, 0, 0, 0), "data");
  await cluster.agent(3).flip(keyOf(cluster, 0, 1, 3), "header");
  await cluster.agent(5).flip(keyOf(cluster, 0, 1, 5), "data");
  const { putEpoch, putAct } = cluster.run(0).shardLocations[2] as { putEpoch: number; putAct: number };
  await cluster.agent(2).store.delete({
    orderedBy: { epoch, actNo: 9 },
    reason: "garbage",
    names: [{ ...keyOf(cluster, 0, 0, 2), putEpoch, putAct }],
  });
  cluster.agent(1).acts.accept(cluster.scrubTask(0, false));
  const found = (await report(cluster, 3))?.findings?.map(
    ({ stripe, shardIndex, nodeName, state }) => `${stripe}/${shardIndex} ${nodeName} ${state}`,
  );
  expect(found).toEqual(["0/0 n0 corrupt", "0/2 n2 absent", "1/3 n3 corrupt", "1/5 n5 corrupt"]);
  await cluster.agent(4).die();
  cluster.agent(1).acts.accept(cluster.scrubTask(1, true));
  const second = (await report(cluster, 4))?.findings?.map(
    ({ stripe, shardIndex, state }) => `${stripe}/${shardIndex} ${state}`,
  );
  expect(second).toEqual(["2/4 unreachable", "3/4 unreachable"]);
});

/** Puts another content under a chunk's name, with valid checksums: what a wrong encoding would have left. */
async function forge(cluster: TestCluster, stripe: number, shardIndex: number): Promise<void> {
  const run = cluster.run(0);
  const agent = cluster.agent(shardIndex);
  const { putEpoch, putAct } = run.shardLocations[shardIndex] as { putEpoch: number; putAct: number };
  const key = keyOf(cluster, 0, stripe, shardIndex);
  const before = (await agent.store.verify(key)).info;
  await agent.store.delete({
    orderedBy: { epoch, actNo: 9 },
    reason: "garbage",
    names: [{ ...key, putEpoch, putAct }],
  });
  const stripeBytes = stripeBytesOf(cluster.volume, stripe);
  const images = new StripeImages(cluster.code, stripeBytes);
  const at = stripe * cluster.volume.stripeSizeBytes;
  scatter(cluster.code, images.data, 0, cluster.content.subarray(at, at + stripeBytes));
  images.encode(coding);
  (images.shards[shardIndex] as Uint8Array).fill(7, 0, 4096);
  const identity = { ...run, volume: cluster.volume, stripe, stripeBytes, throughSeq: 0 };
  const target = {
    ...cluster.targets(putAct)[shardIndex],
    shardIndex,
    poolUuid: agent.poolUuid,
    nodeName: agent.nodeName,
    poolName: "p",
    putEpoch,
    putAct: putAct + 100,
  };
  images.seal(identity, [target], { epoch, actNo: putAct + 100 }, before?.stripeDigest ?? 0, coding);
  expect(shardBytes(cluster.code, stripeBytes)).toBe(images.shards[0]?.byteLength as number);
  await agent.store.put(images.images[shardIndex] as Uint8Array);
}

test("a shard that verifies by itself but is not of this encoding is found, named, and repaired from the others", async () => {
  for (const shardIndex of [1, 4]) {
    await using cluster = await TestCluster.create({ sizeBytes: 65_536, stripesPerRun: 1 });
    await cluster.write();
    await forge(cluster, 0, shardIndex);
    cluster.agent(0).acts.accept(cluster.scrubTask(0, true));
    expect((await report(cluster, 2))?.findings).toMatchObject([{ stripe: 0, shardIndex, state: "mismatch" }]);
    // The tables alone tell it too, without reading all data.
    cluster.agent(0).acts.accept(cluster.scrubTask(0, false));
    expect((await report(cluster, 3))?.findings).toMatchObject([{ shardIndex, state: "mismatch" }]);
    const other = (shardIndex + 1) % 6;
    cluster
      .agent(0)
      .acts.accept(cluster.rebuildTask(0, [cluster.targets(0)[other] as never], [{ stripe: 0, shardIndex: other }]));
    expect(await report(cluster, 4)).toMatchObject(
      shardIndex === 1 ? { outcome: "failed", error: { code: "ChunkCorrupt" } } : { kind: "rebuild", outcome: "done" },
    );
    cluster
      .agent(0)
      .acts.accept(cluster.rebuildTask(0, [cluster.targets(0)[shardIndex] as never], [{ stripe: 0, shardIndex }]));
    expect(await report(cluster, 5)).toMatchObject({ kind: "rebuild", outcome: "done" });
  }
});

test("an agent that stops aborts its acts and takes no more", async () => {
  await using cluster = await TestCluster.create();
  await cluster.write();
  cluster.brainFailure = new AppError("Unavailable", "down");
  const { acts } = cluster.agent(0);
  acts.accept(cluster.scrubTask(0, true));
  acts.accept(cluster.encodeTask(0));
  await acts.shutdown();
  expect(() => acts.accept(cluster.scrubTask(0, false))).toThrow("shutting down");
});
