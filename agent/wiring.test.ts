import { afterEach, expect, test } from "bun:test";
import { join } from "node:path";
import { type Heartbeat, heartbeatSchema } from "@couchestor/common/api/nodes.ts";
import { startListener } from "@couchestor/common/http/listener.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { readEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { createTlsFiles } from "@couchestor/common/tls/create-files.ts";
import { loadTlsMaterial } from "@couchestor/common/tls/material.ts";
import { parseAgentConfig } from "./config.ts";
import { runAgent } from "./main.ts";
import { until } from "./testing/test-cluster.ts";
import { type RunningAgent, startAgent } from "./wiring.ts";

const parts = { clock: systemClock, prng: systemPrng, log: silentLogger() };
const clusterUuid = "cccccccc-cccc-4ccc-8ccc-cccccccccccc";
const closing: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

async function brain(tls?: Parameters<typeof startListener>[0]["tls"]) {
  const beats: Heartbeat[] = [];
  const listener = startListener({
    name: "brain",
    address: { hostname: "127.0.0.1", port: 0 },
    tls,
    tlsFlags: "",
    bodyBytesMax: 2 ** 20,
    clock: systemClock,
    handle: async (request) => {
      beats.push(heartbeatSchema.parse(await request.json()));
      return Response.json({ clusterUuid, heartbeatEveryMs: 50 });
    },
  });
  closing.push(() => listener.stop(0));
  return { url: listener.url, beats };
}

function flags(dir: string, brainUrl: string, ...more: string[]): string[] {
  const own = [
    "--node-name",
    "n1",
    "--brain",
    brainUrl,
    "--data-dir",
    join(dir, "data"),
    "--pool",
    `p=${join(dir, "p")}`,
  ];
  return [...own, "--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", ...more];
}

async function started(config: string[]): Promise<RunningAgent> {
  const agent = await startAgent(parseAgentConfig(config), parts);
  closing.push(() => agent.stop());
  return agent;
}

test("an agent starts at once, reports itself, serves its listeners, and leaves nothing behind when it stops", async () => {
  await using dir = await tempDir("agent");
  const { url, beats } = await brain();
  // A quarter of a second on an idle machine. Half a minute is what waiting for somebody's timeout would cost, and no busy machine.
  const begunMs = performance.now();
  const agent = await started(flags(dir.path, url, "--label", "zone=a"));
  expect(performance.now() - begunMs).toBeLessThan(25_000);
  await until(() => beats.some(({ pools }) => pools[0]?.clusterUuid === clusterUuid));
  expect(beats.at(-1)).toMatchObject({
    nodeName: "n1",
    labels: { zone: "a" },
    clusterUrl: agent.urls.cluster,
    instanceUuid: agent.instanceUuid,
  });
  expect(await readEndpoint(join(dir.path, "data"))).toMatchObject({ role: "agent", adminUrl: agent.urls.admin });
  const metrics = await (await fetch(`${agent.urls.metrics}/metrics`)).text();
  for (const name of [
    "couchestor_pool_free_bytes",
    "process_resident_memory_bytes",
    "couchestor_codec_info",
    "couchestor_acts_active",
  ]) {
    expect(metrics).toContain(`${name}{`);
  }
  for (const path of ["livez", "readyz", "healthz"])
    expect((await fetch(`${agent.urls.health}/${path}`)).status).toBe(200);
  // Nothing but metrics and probes on the plain listeners.
  for (const base of [agent.urls.metrics, agent.urls.health])
    expect((await fetch(`${base}/v1/pools`)).status).toBe(404);
  const steps = await agent.stop();
  expect(steps.filter(({ outcome }) => outcome !== "done")).toEqual([]);
  expect(await readEndpoint(join(dir.path, "data"))).toBeUndefined();
});

test("a second agent on the same data folder is refused with exit code 2, and so are wrong flags", async () => {
  await using dir = await tempDir("agent");
  const { url } = await brain();
  await started(flags(dir.path, url));
  const second = startAgent(parseAgentConfig(flags(dir.path, url)), parts);
  await expect(second).rejects.toMatchObject({
    code: "FailedPrecondition",
    message: expect.stringContaining("another process uses this data folder"),
  });
  expect(await runAgent([...flags(dir.path, url), "--log-level", "silent"])).toBe(2);
});

test("a data folder that is a file is refused in words", async () => {
  await using dir = await tempDir("agent");
  await Bun.write(join(dir.path, "data"), "");
  const { url } = await brain();
  await expect(startAgent(parseAgentConfig(flags(dir.path, url)), parts)).rejects.toThrow(
    /a file is there, not a folder/,
  );
});

test("an agent without any usable pool is up and not ready", async () => {
  await using dir = await tempDir("agent");
  const { url, beats } = await brain();
  await Bun.write(join(dir.path, "p"), "not a folder");
  const agent = await started(flags(dir.path, url));
  const ready = await fetch(`${agent.urls.health}/readyz`);
  expect([ready.status, await ready.json()]).toEqual([503, { status: "not ready", notReady: ["no pool can be read"] }]);
  await until(() => beats.length > 0);
  expect(beats[0]?.pools).toMatchObject([{ poolName: "p", state: "Failed" }]);
});

test("with certificates each listener lets only its own roles in, and heartbeats go over mutual TLS", async () => {
  await using dir = await tempDir("agent");
  const at = (name: string) => join(dir.path, "tls", name);
  await createTlsFiles({ dir: join(dir.path, "tls"), hosts: [] });
  const material = (name: string, ...cas: string[]) =>
    loadTlsMaterial({ certFile: at(`${name}.crt`), keyFile: at(`${name}.key`), caFiles: cas.map(at) });
  const { url, beats } = await brain(await material("brain", "agent-ca.crt"));
  const tls = [
    "--tls-cert",
    at("agent.crt"),
    "--tls-key",
    at("agent.key"),
    "--client-ca",
    at("agent-ca.crt"),
    "--client-ca",
    at("brain-ca.crt"),
  ];
  const agent = await started(
    flags(
      dir.path,
      url,
      ...tls,
      "--admin-client-ca",
      at("admin-ca.crt"),
      "--peer-ca",
      at("brain-ca.crt"),
      "--peer-ca",
      at("agent-ca.crt"),
    ),
  );
  await until(() => beats.length > 0);
  const call = async (base: string, role: string) => {
    const { cert, key, ca } = await material(role, "agent-ca.crt");
    return await fetch(`${base}/v1/version`, { tls: { cert, key, ca } }).then(
      (answer) => answer.status,
      () => "refused",
    );
  };
  expect([
    await call(agent.urls.cluster, "brain"),
    await call(agent.urls.cluster, "agent"),
    await call(agent.urls.cluster, "admin"),
  ]).toEqual([200, 200, "refused"]);
  expect([
    await call(agent.urls.admin, "admin"),
    await call(agent.urls.admin, "brain"),
    await call(agent.urls.admin, "agent"),
  ]).toEqual([200, "refused", "refused"]);
});
