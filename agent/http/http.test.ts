import { afterAll, beforeAll, expect, test } from "bun:test";
import { connect } from "node:net";
import { chunkKeyOf } from "../mover/shard-places.ts";
import { coding, type TestAgent } from "../testing/test-agent.ts";
import { TestCluster, until } from "../testing/test-cluster.ts";
import { parseByteRange } from "./byte-range.ts";
import { adminDocument, clusterDocument } from "./openapi.ts";

let cluster: TestCluster;
let agent: TestAgent;

beforeAll(async () => {
  cluster = await TestCluster.create();
  agent = cluster.agent(0);
  await cluster.write();
});
afterAll(() => cluster[Symbol.asyncDispose]());

const data = (by: TestAgent, headers: Record<string, string> = {}) =>
  fetch(`${by.adminUrl}/v1/volumes/${cluster.volume.volumeUuid}/data`, { headers });
const chunksUrl = () => `${agent.url}/v1/pools/${agent.poolUuid}/chunks`;

test("a volume is read whole and by ranges", async () => {
  const whole = await data(agent);
  expect([whole.status, whole.headers.get("accept-ranges")]).toEqual([200, "bytes"]);
  expect(Buffer.compare(await whole.bytes(), cluster.content)).toBe(0);
  const part = await data(agent, { range: "bytes=65530-131080" });
  expect([part.status, part.headers.get("content-range")]).toEqual([206, "bytes 65530-131080/200000"]);
  expect(Buffer.compare(await part.bytes(), cluster.content.subarray(65_530, 131_081))).toBe(0);
  expect(
    Buffer.compare(await (await data(agent, { range: "bytes=-7" })).bytes(), cluster.content.subarray(199_993)),
  ).toBe(0);
  const outside = await data(agent, { range: "bytes=200000-" });
  expect([outside.status, outside.headers.get("content-range")]).toEqual([416, "bytes */200000"]);
  expect(await outside.json()).toMatchObject({ code: "InvalidArgument", data: { came: "bytes=200000-" } });
  const unknown = await fetch(`${agent.adminUrl}/v1/volumes/nonsense/data`);
  expect(unknown.status).toBe(400);
});

test("a read that fails on the way breaks off instead of ending as if it were whole", async () => {
  await using broken = await TestCluster.create({ seed: 3 });
  await broken.write();
  const by = broken.agent(0);
  for (const other of [0, 1, 2]) {
    const location = broken.run(1).shardLocations[other] as { putEpoch: number; putAct: number };
    const key = chunkKeyOf({ volume: broken.volume, run: broken.run(1), nodes: [], stripe: 3 }, other);
    await broken.agent(other).store.delete({
      orderedBy: { epoch: 1, actNo: 1 },
      reason: "garbage",
      names: [{ ...key, putEpoch: location.putEpoch, putAct: location.putAct }],
    });
  }
  const url = `${by.adminUrl}/v1/volumes/${broken.volume.volumeUuid}/data`;
  const answer = await fetch(url);
  expect(answer.status).toBe(200);
  await expect(answer.bytes()).rejects.toThrow();
  const again = await fetch(url, { headers: { range: "bytes=196608-" } });
  expect(again.status).toBe(503);
  expect(await again.json()).toMatchObject({ code: "Unrecoverable", data: { stripes: [3] } });
});

test("chunks: blocks with their CRCs, a list with pages, verify, and absent is 404", async () => {
  const list = (await (await fetch(`${chunksUrl()}?limit=3&verify=true`)).json()) as {
    chunks: { info: never; state: string }[];
    next: string;
  };
  expect(list.chunks.map(({ state }) => state)).toEqual(["ok", "ok", "ok"]);
  const rest = (await (await fetch(`${chunksUrl()}?after=${encodeURIComponent(list.next)}`)).json()) as {
    chunks: unknown[];
  };
  expect(list.chunks.length + rest.chunks.length).toBe(4);
  const key = chunkKeyOf({ volume: cluster.volume, run: cluster.run(0), nodes: [], stripe: 0 }, 0);
  const path = `${key.volumeUuid}/${key.stripe}/${key.shardIndex}/${key.generation}/${key.encodeEpoch}/${key.encodeAct}`;
  const got = await (await fetch(`${chunksUrl()}/${path}?firstBlock=1&blockCount=2`)).bytes();
  expect(Buffer.compare(got.subarray(8), cluster.content.subarray(4096, 3 * 4096))).toBe(0);
  expect(new DataView(got.buffer).getUint32(0, true)).toBe(coding.checksum.crc32c(got.subarray(8, 8 + 4096)));
  const absent = await fetch(`${chunksUrl()}/${path.replace("/0/0/", "/0/1/")}?blockCount=1`);
  expect([absent.status, ((await absent.json()) as { code: string }).code]).toEqual([404, "ChunkAbsent"]);
  for (const bad of [
    `${path}?blockCount=0`,
    `${path}?blockCount=x`,
    `${path.replace("/0/0/", "/0/-1/")}?blockCount=1`,
  ]) {
    expect((await fetch(`${chunksUrl()}/${bad}`)).status).toBe(400);
  }
  const other = await fetch(`${agent.url}/v1/pools/${cluster.agent(1).poolUuid}/chunks`);
  expect(((await other.json()) as { code: string }).code).toBe("NotFound");
});

test("a client that stops halfway through a chunk leaves nothing behind", async () => {
  const before = agent.store.info();
  const socket = connect(Number(new URL(agent.url).port), "127.0.0.1");
  const path = `/v1/pools/${agent.poolUuid}/chunks`;
  socket.write(`PUT ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: 20000\r\n\r\n${"a".repeat(10_000)}`);
  await until(() => agent.memory.serving.usedBytes === 20_000);
  socket.destroy();
  await until(() => agent.memory.serving.usedBytes === 0);
  expect(agent.store.info()).toEqual(before);
});

test("chunks that are too long, without a length or nonsense are refused", async () => {
  const put = (body: Uint8Array<ArrayBuffer>) => fetch(chunksUrl(), { method: "PUT", body });
  const nonsense = await put(new Uint8Array(8192));
  expect(nonsense.status).toBeGreaterThanOrEqual(400);
  expect(((await nonsense.json()) as { code: string }).code).toMatch(/ChunkCorrupt|InvalidArgument/);
  expect((await fetch(chunksUrl(), { method: "PUT" })).status).toBe(400);
  const socket = connect(Number(new URL(agent.url).port), "127.0.0.1");
  let answer = "";
  socket.on("data", (bytes) => {
    answer += bytes.toString();
  });
  socket.write(`PUT /v1/pools/${agent.poolUuid}/chunks HTTP/1.1\r\nHost: x\r\nContent-Length: 70000000\r\n\r\n`);
  await until(() => answer.includes("TooLarge"));
  socket.destroy();
});

test("hostile JSON is answered, never a crash", async () => {
  for (const body of ["", "[", "null", '{"kind":"encode"}', '{"kind":"x"}', "9".repeat(100_000)]) {
    const answer = await fetch(`${agent.url}/v1/acts`, { method: "POST", body });
    expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([400, "InvalidArgument"]);
  }
  expect((await fetch(`${agent.url}/v1/nothing`)).status).toBe(404);
});

test("the OpenAPI documents name every route that is served, and no other", async () => {
  for (const [url, document, served] of [
    [agent.url, clusterDocument(), agent.routes.cluster],
    [agent.adminUrl, adminDocument(), agent.routes.admin],
  ] as const) {
    const { paths } = document as { paths: Record<string, Record<string, object>> };
    const documented = Object.entries(paths).flatMap(([path, methods]) =>
      Object.keys(methods).map((m) => `${m.toUpperCase()} ${path}`),
    );
    expect(documented.sort()).toEqual([...served].sort());
    const answer = await (await fetch(`${url}/v1/openapi.json`)).json();
    expect(answer).toEqual(JSON.parse(JSON.stringify(document)));
  }
});

test("ranges of RFC 9110", () => {
  expect(parseByteRange(null, 10)).toEqual({ offset: 0, length: 10 });
  expect(parseByteRange("bytes=0-0", 10)).toEqual({ offset: 0, length: 1 });
  expect(parseByteRange("bytes=5-", 10)).toEqual({ offset: 5, length: 5 });
  expect(parseByteRange("bytes=5-100", 10)).toEqual({ offset: 5, length: 5 });
  expect(parseByteRange("bytes=-100", 10)).toEqual({ offset: 0, length: 10 });
  for (const bad of ["bytes=10-", "bytes=-0", "bytes=-", "bytes=5-4", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"]) {
    expect(parseByteRange(bad, 10)).toBeUndefined();
  }
});
