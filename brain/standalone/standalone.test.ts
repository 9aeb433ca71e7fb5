/** Real processes: a brain and three agents on loopback, killed, lost and refused. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { readdir, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseCode } from "@couchestor/common/code/code.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { type TempDir, tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { exportVolume } from "../cli/transfer/export-volume.ts";
import { importFile } from "../cli/transfer/import-file.ts";
import { type Standalone, startStandalone } from "./start.ts";
import { readStandaloneFile } from "./state-file.ts";

const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];
const content = seededPrng(11).bytes(3 * 1024 * 1024 + 777);
const contentSha256 = new Bun.CryptoHasher("sha256").update(content).digest("hex");
const limit = AbortSignal.timeout(900_000);

let dir: TempDir;
let cluster: Standalone;
const notes: string[] = [];

const start = (): Promise<Standalone> =>
  startStandalone({
    program,
    env: process.env,
    clock: systemClock,
    signal: limit,
    dataDir: join(dir.path, "data"),
    agents: 3,
    poolsPerAgent: 1,
    restart: true,
    heartbeatEveryMs: 200,
    offlineAfterMs: 2_000,
    onNote: (text) => notes.push(text),
  });

async function until<T>(seen: () => Promise<T | undefined | false>): Promise<T> {
  for (;;) {
    limit.throwIfAborted();
    const value = await seen();
    if (value !== undefined && value !== false) return value;
    await systemClock.sleep(20, limit);
  }
}

const read = () =>
  exportVolume({ client: cluster.client, clock: systemClock, signal: limit, name: "photos", sink: () => undefined });

/** Whether it runs. Who has ended and is not yet collected, because its parent has died before it, does not. */
function alive(pid: number): boolean {
  try {
    return !/\) [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "latin1"));
  } catch {
    return false;
  }
}

beforeAll(async () => {
  dir = await tempDir("standalone");
  await writeFile(join(dir.path, "file"), content);
  cluster = await start();
}, 180_000);
afterAll(async () => {
  await cluster?.stop();
  await dir[Symbol.asyncDispose]();
}, 180_000);

describe("a cluster on one machine", () => {
  test("takes a file and gives it back", async () => {
    const result = await importFile({
      client: cluster.client,
      clock: systemClock,
      signal: limit,
      name: "photos",
      path: join(dir.path, "file"),
      code: parseCode("2+1"),
      stripeSizeBytes: 256 * 1024,
      stripesPerRun: 4,
      runsInFlight: 2,
    });
    expect(result.contentSha256).toBe(contentSha256);
    expect(await read()).toMatchObject({ sha256: contentSha256, matches: true });
  }, 180_000);

  test("a brain that is killed is started again at the same address and knows the volume", async () => {
    const before = cluster.brain.pid();
    process.kill(before, "SIGKILL");
    await until(async () => cluster.brain.pid() !== before && cluster.brain.pid() !== 0);
    await until(
      async () => (await cluster.client.nodes().catch(() => [])).filter((node) => node.state === "Online").length === 3,
    );
    expect(notes.join("\n")).toContain("brain ended (SIGKILL); starting it again");
    expect(await read()).toMatchObject({ sha256: contentSha256, matches: true });
  }, 180_000);

  test("a second agent on the data folder of a running one is refused", async () => {
    const [agent] = cluster.agents;
    if (agent === undefined) throw new Error("there are three agents");
    const pool = agent.pools[0];
    const child = Bun.spawn(
      [
        ...program,
        "agent",
        "--node-name",
        agent.name,
        "--brain",
        cluster.brain.endpoint.clusterUrl,
        "--data-dir",
        agent.dataDir,
        "--pool",
        `${pool?.name}=${pool?.path}`,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--metrics-listen",
        "127.0.0.1:0",
        "--health-listen",
        "127.0.0.1:0",
      ],
      { stdin: "ignore", stdout: "pipe", stderr: "pipe" },
    );
    const [text, code] = await Promise.all([
      Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]),
      child.exited,
    ]);
    expect(code).toBe(2);
    expect(text.join("")).toContain(agent.dataDir);
  }, 180_000);

  test("a second standalone on the folder is refused", async () => {
    await expect(start()).rejects.toThrow("in use by another standalone");
    const child = Bun.spawnSync([...program, "standalone", "--data-dir", join(dir.path, "data"), "--json"]);
    expect(child.exitCode).toBe(2);
    expect(JSON.parse(child.stdout.toString())).toMatchObject({ error: { code: "FailedPrecondition" } });
  });

  test("volumes come back from the disks alone when the brain's database is gone", async () => {
    await cluster.stop();
    expect(await readStandaloneFile(join(dir.path, "data"))).toBeUndefined();
    for (const name of await readdir(cluster.brain.dataDir))
      await rm(join(cluster.brain.dataDir, name), { recursive: true });
    cluster = await start();
    expect(await cluster.client.volumes()).toEqual([]);
    let report = await cluster.client.startRecover({ verify: true, dryRun: false });
    while (report.state === "Running") {
      await systemClock.sleep(50, limit);
      report = await cluster.client.recover();
    }
    expect(report).toMatchObject({
      state: "Done",
      volumes: [{ name: "photos", lostStripes: [], sizeBytes: content.length }],
    });
    expect(await read()).toMatchObject({ sha256: contentSha256 });
  }, 180_000);
});

test("no member outlives a standalone that is killed", async () => {
  await using own = await tempDir("orphans");
  const data = join(own.path, "data");
  const child = Bun.spawn([...program, "standalone", "--data-dir", data, "--agents", "1", "--pools-per-agent", "1"], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: "ignore",
  });
  const file = await until(() => readStandaloneFile(data));
  const pids = [file.brain.pid, ...file.agents.map((agent) => agent.pid)];
  expect(pids.every(alive)).toBe(true);
  child.kill("SIGKILL");
  await child.exited;
  await until(async () => !pids.some(alive));
  expect(await readFile(join(data, "brain", "brain.log"), "utf8")).toContain("stopping");
}, 180_000);

test("SIGTERM stops everything in order; the next start has the same address and the volumes", async () => {
  await using own = await tempDir("stop");
  const data = join(own.path, "data");
  const argv = [...program, "standalone", "--data-dir", data, "--agents", "1", "--pools-per-agent", "1", "--json"];
  const addresses: string[] = [];
  for (let round = 0; round < 2; round++) {
    const child = Bun.spawn(argv, { stdin: "ignore", stdout: "pipe", stderr: "ignore" });
    const file = await until(() => readStandaloneFile(data));
    addresses.push(file.brainUrl);
    const pids = [file.brain.pid, ...file.agents.map((agent) => agent.pid)];
    expect(pids.every(alive)).toBe(true);
    child.kill("SIGTERM");
    const [code, stdout] = await Promise.all([child.exited, new Response(child.stdout).text()]);
    expect(code).toBe(0);
    expect(pids.some(alive)).toBe(false);
    expect(JSON.parse(stdout)).toMatchObject({
      brainUrl: file.brainUrl,
      members: [{ name: "brain" }, { name: "node-1" }],
    });
    expect(await readStandaloneFile(data)).toBeUndefined();
  }
  expect(new Set(addresses).size).toBe(1);
}, 180_000);
