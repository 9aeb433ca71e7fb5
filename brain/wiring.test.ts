import { afterEach, expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { readEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { parseBrainConfig } from "./config.ts";
import { silentLog } from "./ports.ts";
import { FakeFleet } from "./sim/fake-fleet.ts";
import { type RunningBrain, startBrain } from "./wiring.ts";

let running: RunningBrain | undefined;
afterEach(async () => {
  await running?.stop();
  running = undefined;
});

const listen = ["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--heartbeat-every", "50ms"];
const deps = { clock: systemClock, prng: systemPrng, log: silentLog };

async function call(url: string, path: string, body?: unknown, method = body === undefined ? "GET" : "POST") {
  const response = await fetch(url + path, { method, ...(body === undefined ? {} : { body: JSON.stringify(body) }) });
  return { status: response.status, text: await response.text() };
}

test("a brain starts at once, says where it is, serves its APIs, and leaves nothing behind when it stops", () =>
  withTempDir("brain", async (dataDir) => {
    // Half a second on an idle machine. Half a minute is what waiting for somebody's timeout would cost, and no busy machine.
    const startedMs = systemClock.monotonicMs();
    running = await startBrain(parseBrainConfig(["--data-dir", dataDir, ...listen]), deps);
    expect(systemClock.monotonicMs() - startedMs).toBeLessThan(25_000);
    const endpoint = await readEndpoint(dataDir);
    expect(endpoint).toMatchObject({ role: "brain", pid: process.pid, adminUrl: running.urls.admin });
    const fleet = new FakeFleet(6);
    const { cluster, admin, health, metrics } = running.urls;
    const beatAll = async () => {
      for (const node of fleet.nodes.values()) {
        const answer = await call(cluster, `/v1/nodes/${node.name}/heartbeat`, fleet.heartbeatOf(node));
        fleet.clusterUuid = JSON.parse(answer.text).clusterUuid ?? fleet.clusterUuid;
      }
    };
    const volume = { name: "v1", sizeBytes: 1 << 20, code: { family: "rs", k: 4, m: 2 }, importing: false };
    expect((await call(admin, "/v1/volumes", volume)).status).toBe(412);
    while (running.brain.services.cluster.uuid === undefined) await beatAll();
    await beatAll();
    await beatAll();
    expect((await call(admin, "/v1/volumes", volume)).status).toBe(201);
    expect((await call(admin, "/v1/volumes", volume)).status).toBe(409);
    expect((await call(admin, "/v1/volumes", { ...volume, sizeBytes: 0 })).text).toContain("sizeBytes: got 0");
    expect(JSON.parse((await call(admin, "/v1/volumes/v1")).text)).toMatchObject({
      phase: "Ready",
      health: "Unwritten",
    });
    expect((await call(admin, "/v1/stripes?volume=v1")).status).toBe(200);
    expect(JSON.parse((await call(admin, "/v1/nodes")).text).nodes.length).toBe(6);
    expect((await call(admin, "/v1/volumes/nope")).status).toBe(404);
    expect((await call(admin, "/v1/repair/pause", undefined, "POST")).text).toBe('{"paused":true}');
    expect((await call(cluster, "/v1/nodes/n1/heartbeat", { protocolVersion: 99 })).status).toBe(426);
    expect((await call(health, "/readyz")).status).toBe(200);
    expect((await call(metrics, "/metrics")).text).toContain('storage_operator_ec_stripes_total{state="Unwritten"} 1');
    const api = JSON.parse((await call(admin, "/v1/openapi.json")).text);
    expect(Object.keys(api.paths)).toContain("/v1/volumes/{name}/encode");
    await expect(startBrain(parseBrainConfig(["--data-dir", dataDir, ...listen]), deps)).rejects.toThrow(
      "another process uses this data folder",
    );
    expect((await running.stop()).every((step) => step.outcome === "done")).toBe(true);
    expect(await readEndpoint(dataDir)).toBeUndefined();
    running = await startBrain(parseBrainConfig(["--data-dir", dataDir, ...listen]), deps);
    expect(running.brain.services.catalogue.volumes().map((v) => v.metadata.name)).toEqual(["v1"]);
  }));

test("off loopback without TLS the brain refuses and names the flags", () =>
  withTempDir("brain", async (dataDir) => {
    const config = parseBrainConfig(["--data-dir", dataDir, ...listen, "--listen", "0.0.0.0:0"]);
    await expect(startBrain(config, deps)).rejects.toThrow("--tls-cert");
  }));
