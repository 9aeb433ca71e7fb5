/** A real brain process with its real database is killed in the midst of an import, again and again: what it said is committed stays so. */
import { afterAll, expect, test } from "bun:test";
import { join } from "node:path";
import type { ActDone } from "@couchestor/common/api/acts.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { type Endpoint, readEndpoint } from "@couchestor/common/runtime/data-dir.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { FakeFleet } from "./fake-fleet.ts";

const runs = 96;
const killsDue = 4;
const program = join(import.meta.dir, "../../couchestor.ts");
const flags = ["--metrics-listen", "127.0.0.1:0", "--health-listen", "127.0.0.1:0", "--heartbeat-every", "50ms"];
const fleet = new FakeFleet(6);

/** All agents of the fleet behind one port, told apart by the first part of the path. */
const agents = Bun.serve({
  hostname: "127.0.0.1",
  port: 0,
  async fetch(request) {
    const [, node, , what, poolUuid = "", , verb] = new URL(request.url).pathname.split("/");
    const url = `http://${node}.test`;
    if (what === "acts" && request.method === "POST") await fleet.startAct(url, (await request.json()) as never);
    else if (what === "acts") await fleet.cancelAct(url, poolUuid);
    else if (verb === "delete")
      return Response.json(await fleet.deleteChunks(url, poolUuid, (await request.json()) as never));
    else return Response.json({ chunks: [] });
    return new Response(null, { status: 202 });
  },
});
afterAll(() => agents.stop(true));

async function call(
  url: string,
  path: string,
  body?: unknown,
): Promise<{ status: number; answer: Record<string, unknown> }> {
  const init = body === undefined ? {} : { method: "POST", body: JSON.stringify(body) };
  const response = await fetch(url + path, init);
  return { status: response.status, answer: (await response.json()) as Record<string, unknown> };
}

async function beatAll(endpoint: Endpoint): Promise<void> {
  for (const node of fleet.nodes.values()) {
    const base = `http://127.0.0.1:${agents.port}/${node.name}`;
    const beat = { ...fleet.heartbeatOf(node), clusterUrl: base, adminUrl: base };
    const { answer } = await call(endpoint.clusterUrl, `/v1/nodes/${node.name}/heartbeat`, beat);
    if (typeof answer["clusterUuid"] === "string") fleet.clusterUuid = answer["clusterUuid"];
  }
}

async function start(dataDir: string) {
  const argv = [process.execPath, program, "brain", "--data-dir", dataDir, ...flags];
  const child = Bun.spawn(argv, { stdout: "ignore", stderr: "ignore" });
  let endpoint: Endpoint | undefined;
  while (endpoint?.pid !== child.pid) {
    if (child.exitCode !== null) throw new Error(`the brain ended with ${child.exitCode}`);
    await systemClock.sleep(5);
    endpoint = await readEndpoint(dataDir).catch(() => undefined);
  }
  for (let i = 0; i < 3 || fleet.clusterUuid.startsWith("00000000"); i++) await beatAll(endpoint);
  await beatAll(endpoint);
  return { child, endpoint };
}

/** Imports one run. Returns the act that the brain said is committed. */
async function importRun({ adminUrl, clusterUrl }: Endpoint, runIndex: number): Promise<ActDone["act"] | undefined> {
  for (const node of fleet.nodes.values()) node.acts.clear();
  const grant = await call(adminUrl, "/v1/volumes/v1/encode", { runIndex });
  const [found] = fleet.acts();
  if (grant.status !== 200 || !found) return undefined;
  const done = fleet.perform(found.node, found.task) as ActDone;
  const { answer } = await call(clusterUrl, "/v1/acts/done", done);
  return answer["result"] === "committed" ? done.act : undefined;
}

test(
  "a killed brain loses nothing that it said is committed, and the import goes on behind it",
  () =>
    withTempDir("brain-kill", async (dataDir) => {
      const prng = seededPrng(11);
      const committed = new Map<number, ActDone["act"]>();
      let kept = 0;
      const name = (run: number) => `v1-${String(run * 4).padStart(10, "0")}`;
      let created = false;
      for (let kills = 0; committed.size < runs; ) {
        const { child, endpoint } = await start(dataDir);
        const volume = { name: "v1", sizeBytes: runs * 4 * 65_536, stripeSizeBytes: 65_536, stripesPerRun: 4 };
        const request = { ...volume, code: { family: "rs", k: 4, m: 2 }, importing: true };
        if (!created) created = (await call(endpoint.adminUrl, "/v1/volumes", request)).status === 201;
        for (const [run, act] of committed) {
          const { answer } = await call(endpoint.adminUrl, `/v1/stripes/${name(run)}`);
          const { encodeEpoch, encodeAct } = answer["spec"] as { encodeEpoch: number; encodeAct: number };
          expect([run, encodeEpoch, encodeAct]).toEqual([run, act.epoch, act.actNo]);
        }
        kept = committed.size;
        const killAt = kills < killsDue ? committed.size + 4 + prng.below(12) : runs;
        let killed = false;
        for (let run = 0; run < runs && !killed; run++) {
          if (committed.has(run)) continue;
          const importing = importRun(endpoint, run);
          if (committed.size >= killAt) {
            // Somewhere between the grant and the answer to the report.
            await Promise.race([importing, systemClock.sleep(prng.below(4))]).catch(() => undefined);
            child.kill("SIGKILL");
            killed = true;
            kills++;
          }
          const act = await importing.catch((error) => {
            if (!killed) throw error;
            return undefined;
          });
          if (act) committed.set(run, act);
        }
        child.kill("SIGKILL");
        await child.exited;
      }
      expect(committed.size).toBe(runs);
      expect(kept).toBeGreaterThan(0);
    }),
  180_000,
);
