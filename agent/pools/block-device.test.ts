/** An agent's process on a block device, killed in the midst of writing. The device is a loop device, so it needs root and losetup; skipped, and so reported, without. */
import { expect, test } from "bun:test";
import { truncateSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join, resolve } from "node:path";
import { verifyAnswerSchema } from "@couchestor/common/api/chunks.ts";
import { heartbeatSchema, type PoolInfo } from "@couchestor/common/api/nodes.ts";
import { startListener } from "@couchestor/common/http/listener.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { type Endpoint, readEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { type TempDir, tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { chunkOf, clusterUuid, keyOf, type TestChunk } from "../store/testing/fixture.ts";
import { until } from "../testing/test-cluster.ts";

const root = resolve(import.meta.dir, "../..");
const imageBytes = 512 * 2 ** 20;

/** A loop device over a new sparse file, where root may make one. */
function loopDevice(path: string): string | undefined {
  if (process.getuid?.() !== 0 || Bun.which("losetup") === null) return undefined;
  writeFileSync(path, "");
  truncateSync(path, imageBytes);
  const made = Bun.spawnSync(["losetup", "--find", "--show", path], { stdout: "pipe", stderr: "ignore" });
  return made.exitCode === 0 ? made.stdout.toString().trim() : undefined;
}

function detach(device: string): void {
  Bun.spawnSync(["losetup", "--detach", device]);
}

const dir: TempDir = await tempDir("block-device");
const device = loopDevice(join(dir.path, "image"));
if (device === undefined) await dir[Symbol.asyncDispose]();

test.skipIf(device === undefined)(
  "a pool on a block device: SIGKILL while it is written loses nothing acknowledged, and a flipped byte is found",
  async () => {
    const beats: PoolInfo[][] = [];
    const brain = brainOf(beats);
    let agent: Agent | undefined;
    try {
      agent = await startAgent(brain.url, beats);
      const chunks = Array.from({ length: 60 }, (_, i) => chunkOf(i, { blocks: 1 + (i % 40) }));
      const acknowledged: TestChunk[] = [];
      await putUntilKilled(agent, chunks, acknowledged, 25);
      expect(acknowledged.length).toBeGreaterThanOrEqual(25);

      agent = await startAgent(brain.url, beats);
      expect(agent.pool).toMatchObject({ kind: "block", state: "Online", poolName: "disk" });
      expect(await statesOf(agent, acknowledged)).toEqual(acknowledged.map(() => "ok"));
      // What was not acknowledged is done again; the names serve still.
      for (const chunk of chunks) expect(await put(agent, chunk)).toBe(200);
      expect(await statesOf(agent, chunks)).toEqual(chunks.map(() => "ok"));

      const hurt = chunks[7] as TestChunk;
      await flip(join(dir.path, "image"), hurt.data);
      const states = await statesOf(agent, chunks);
      expect(chunks.filter((_, i) => states[i] !== "ok")).toEqual([hurt]);
      expect(states[7]).toBe("corrupt");
    } finally {
      for (const child of started) child.kill("SIGKILL");
      await Promise.all(started.map((child) => child.exited));
      await brain.stop(0);
      if (device !== undefined) detach(device);
      await dir[Symbol.asyncDispose]();
    }
  },
  180_000,
);

interface Agent {
  process: Bun.Subprocess;
  endpoint: Endpoint;
  pool: PoolInfo;
}

function brainOf(beats: PoolInfo[][]) {
  return startListener({
    name: "brain",
    address: { hostname: "127.0.0.1", port: 0 },
    tlsFlags: "",
    bodyBytesMax: 2 ** 20,
    clock: systemClock,
    handle: async (request) => {
      beats.push(heartbeatSchema.parse(await request.json()).pools);
      return Response.json({ clusterUuid, heartbeatEveryMs: 50 });
    },
  });
}

const started: Bun.Subprocess[] = [];

async function startAgent(brainUrl: string, beats: PoolInfo[][]): Promise<Agent> {
  const data = join(dir.path, "data");
  beats.length = 0;
  const flags = ["--node-name", "n1", "--brain", brainUrl, "--data-dir", data, "--pool", `disk=${device}`];
  const probes = ["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--log-level", "warn"];
  const child = Bun.spawn([process.execPath, join(root, "couchestor.ts"), "agent", ...flags, ...probes], {
    // It ends when this process does, however that happens.
    stdin: "pipe",
    stdout: Bun.file(join(dir.path, "agent.log")),
    stderr: "ignore",
    env: { ...process.env, COUCHESTOR_EXIT_WITH_PARENT: "1" },
  });
  started.push(child);
  await until(() => beats.at(-1)?.[0]?.clusterUuid === clusterUuid);
  let endpoint = await readEndpoint(data);
  while (endpoint?.pid !== child.pid) {
    await systemClock.sleep(5);
    endpoint = await readEndpoint(data);
  }
  return { process: child, endpoint, pool: beats.at(-1)?.[0] as PoolInfo };
}

const chunksUrl = ({ endpoint, pool }: Agent) => `${endpoint.clusterUrl}/v1/pools/${pool.poolUuid}/chunks`;

async function put(agent: Agent, { image }: TestChunk): Promise<number> {
  const answer = await fetch(chunksUrl(agent), { method: "PUT", body: image as Uint8Array<ArrayBuffer> });
  await answer.arrayBuffer();
  return answer.status;
}

/** Puts all at once and kills the agent when `count` are acknowledged, with the rest under way. */
async function putUntilKilled(agent: Agent, chunks: TestChunk[], acknowledged: TestChunk[], count: number) {
  const queue = [...chunks];
  const lane = async () => {
    for (let chunk = queue.shift(); chunk !== undefined; chunk = queue.shift()) {
      if ((await put(agent, chunk).catch(() => 0)) === 200) acknowledged.push(chunk);
      if (acknowledged.length === count) agent.process.kill("SIGKILL");
    }
  };
  await Promise.all(Array.from({ length: 6 }, lane));
  await agent.process.exited;
}

async function statesOf(agent: Agent, chunks: TestChunk[]): Promise<string[]> {
  const body = JSON.stringify({ names: chunks.map(({ name }) => keyOf(name)) });
  const answer = await fetch(`${chunksUrl(agent)}/verify`, { method: "POST", body });
  return verifyAnswerSchema.parse(await answer.json()).results.map(({ state }) => state);
}

/** Turns one bit of the newest copy of `content`, which the first segments hold: what was found again after a crash is written anew by the next put. */
async function flip(image: string, content: Uint8Array): Promise<void> {
  const begin = await Bun.file(image)
    .slice(0, 128 * 2 ** 20)
    .arrayBuffer();
  const at = Buffer.from(begin).lastIndexOf(content);
  if (at < 0) throw new Error("the chunk's bytes are nowhere on the device");
  const file = await open(image, "r+");
  await file.write(Uint8Array.of((content[100] as number) ^ 4), 0, 1, at + 100);
  await file.sync();
  await file.close();
}
