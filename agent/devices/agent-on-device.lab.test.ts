/**
 * An agent whose pool is a claimed disk: the disk is pulled out under it and comes back in another slot; nothing acknowledged is lost, and what
 * happened is told.
 * lab: machine=bare timeoutSeconds=1200 memoryMiB=3072
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { join } from "node:path";
import { verifyAnswerSchema } from "@couchestor/common/api/chunks.ts";
import type { LocalDevices } from "@couchestor/common/api/local-devices.ts";
import { type Heartbeat, heartbeatSchema } from "@couchestor/common/api/nodes.ts";
import type { AppError } from "@couchestor/common/errors/app-error.ts";
import { type Listener, startListener } from "@couchestor/common/http/listener.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { askHost, until } from "@couchestor/common/testing/lab.ts";
import { type TempDir, tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { parseAgentConfig } from "../config.ts";
import { chunkOf, clusterUuid, keyOf, type TestChunk } from "../store/testing/fixture.ts";
import { type RunningAgent, startAgent } from "../wiring.ts";
import { localDevices } from "./local-adapter.ts";

const log = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} };
const { signal } = new AbortController();
const plug = { verb: "plug", disk: "hot", kind: "nvme", serial: "POOL1", sizeMiB: 512 } as const;
const beats: Heartbeat[] = [];
let dir: TempDir;
let local: LocalDevices;
let brain: Listener;
let agent: RunningAgent | undefined;
let id = "";

beforeAll(async () => {
  dir = await tempDir("agent-on-device");
  local = await localDevices({ clock: systemClock, prng: systemPrng, log });
  brain = startListener({
    name: "brain",
    address: { hostname: "127.0.0.1", port: 0 },
    tlsFlags: "",
    bodyBytesMax: 2 ** 22,
    clock: systemClock,
    handle: async (request) => {
      beats.push(heartbeatSchema.parse(await request.json()));
      return Response.json({ clusterUuid, heartbeatEveryMs: 100 });
    },
  });
});
afterAll(async () => {
  await agent?.stop();
  local.close();
  await brain.stop(0);
  await dir[Symbol.asyncDispose]();
});

const order = { poolName: "hot", nodeName: "n1", clusterUuid: undefined, wipe: false, move: false };
const pool = () => beats.at(-1)?.pools[0];
const device = () => beats.at(-1)?.devices?.find((found) => found.id === id);

/** Waits for a heartbeat that `look` likes. Looks are counted, since the clock of an emulated machine on a busy host may jump by minutes. */
async function told(look: () => boolean | undefined, words: string): Promise<void> {
  for (let looks = 0; look() !== true; looks++) {
    if (looks === 5_000)
      throw new Error(`${words}: pool ${JSON.stringify(pool())}, device ${JSON.stringify(device())}`);
    await systemClock.sleep(20);
  }
}

async function put({ image }: TestChunk): Promise<number> {
  const url = `${agent?.urls.cluster}/v1/pools/${pool()?.poolUuid}/chunks`;
  const answer = await fetch(url, { method: "PUT", body: image as Uint8Array<ArrayBuffer> });
  await answer.arrayBuffer();
  return answer.status;
}

async function states(chunks: readonly TestChunk[]): Promise<string[]> {
  const url = `${agent?.urls.cluster}/v1/pools/${pool()?.poolUuid}/chunks/verify`;
  const answer = await fetch(url, {
    method: "POST",
    body: JSON.stringify({ names: chunks.map(({ name }) => keyOf(name)) }),
  });
  return verifyAnswerSchema.parse(await answer.json()).results.map(({ state }) => state);
}

test("a pool by its device's id: claimed, opened, reported, and not given to another meanwhile", async () => {
  await askHost({ ...plug, slot: "rp1" });
  id = await until(
    async () => (await local.list()).devices.find(({ serial }) => serial === "POOL1")?.id,
    60_000,
    "the disk is not found",
  );
  const flags = ["--node-name", "n1", "--brain", brain.url, "--data-dir", join(dir.path, "data")];
  const probes = ["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0"];
  const config = parseAgentConfig([...flags, ...probes, "--pool", `hot=device:${id}`]);
  agent = await startAgent(config, { clock: systemClock, prng: systemPrng, log });
  await told(() => pool()?.state === "Failed", "no heartbeat");
  expect(pool()?.reason).toContain(`couchestor device claim ${id} --pool hot`);

  await local.claim(id, order, { dryRun: false, signal });
  await told(() => pool()?.state === "Online" && pool()?.clusterUuid === clusterUuid, "the pool is not opened");
  await told(() => device()?.health?.state === "Healthy", "the disk's health is not reported");
  await told(() => device()?.label?.poolUuid === pool()?.poolUuid, "the pool on the disk is not noticed");
  expect(device()).toMatchObject({ serial: "POOL1", tier: "hot" });

  const refused = await local.release(id, true, { dryRun: false, signal }).then(
    () => "released",
    (error: AppError) => error.message,
  );
  expect(refused).toContain("another process has");
  const metrics = await (await fetch(`${agent.urls.metrics}/metrics`)).text();
  expect(metrics).toContain(`couchestor_device_info{device="${id}"`);
  expect(metrics).toMatch(/couchestor_device_health_state\{[^}]*state="Healthy"[^}]*\} 1/);
}, 3_600_000);

test("pulled out it is Gone and its pool Failed; in another slot the pool is back with all that was acknowledged", async () => {
  const chunks = Array.from({ length: 30 }, (_, i) => chunkOf(i, { blocks: 1 + (i % 20) }));
  for (const chunk of chunks) expect(await put(chunk)).toBe(200);
  await askHost({ verb: "unplug", device: "hot" });
  await told(() => device()?.health?.state === "Gone", "the removal is not reported");
  // The store finds out when it next looks at its device, or is asked for something.
  await states(chunks).catch(() => []);
  await told(() => pool()?.state === "Failed" || pool()?.state === "ReadOnly", "the pool still calls itself Online");
  await askHost({ ...plug, slot: "rp2" });
  await told(() => pool()?.state === "Online", "the pool is not opened again");
  await told(() => device()?.health?.state === "Healthy", "the disk is not well again");
  expect(await states(chunks)).toEqual(chunks.map(() => "ok"));
}, 3_600_000);
