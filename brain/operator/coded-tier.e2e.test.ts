/**
 * The cold tier on erasure coding, with an API server, a Prometheus, agents and an ECVolume with data that are all real: a policy has a Mayastor
 * volume go down to one replica on a pool that stands on that ECVolume, not while a shard is away, and back again. Mayastor and its pools are simulated.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { randomBytes } from "node:crypto";
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { kubectl } from "../testing/installed-plane.ts";
import { until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { type TieringCluster, tieringCluster, volumeUuid } from "../testing/tiering-cluster.ts";
import { MovingMayastor, migrationsIn, quickFlags } from "./testing/moving-cluster.ts";
import { AgentProcess, BrainProcess, operatorPlane, serviceAccountFolder } from "./testing/operator-cluster.ts";

const missing = controlPlaneMissing(["etcd", "kube-apiserver", "kubectl"]) ?? prometheusMissing();
if (missing) console.log(`skipped: the cold tier on erasure coding: ${missing}`);

const iops = 50;
const selector = (tier: string) => ({ matchLabels: { tier } });

describe.skipIf(missing !== undefined)("the cold tier on erasure coding", () => {
  let plane: ControlPlane;
  let cluster: TieringCluster;
  let mayastor: MovingMayastor;
  let brain: BrainProcess;
  const agents: AgentProcess[] = [];
  beforeAll(async () => {
    plane = await operatorPlane();
    cluster = await tieringCluster(plane, { volumes: 1, iops: () => iops });
    mayastor = new MovingMayastor();
    for (const n of [1, 2, 3]) mayastor.cluster.addPool(`hot-${n}`, `node-${n}`, { tier: "hot" });
    const coded = { erasureCoded: { lossesMax: 1, healthy: true } };
    mayastor.cluster.addPool("cold-4", "node-4", { tier: "cold", "couchestor/ec-volume": "archive" }, coded);
    mayastor.addVolume(1, ["hot-1", "hot-2"]);
    const credentials = await serviceAccountFolder(plane);
    const { prometheus } = cluster;
    brain = await BrainProcess.start({ plane, credentials, prometheus, mayastor, flags: quickFlags, moves: true });
    await brain.ready();
    const { clusterUrl } = await brain.endpoint();
    for (const name of ["n1", "n2"]) agents.push(await AgentProcess.start(name, clusterUrl));
    for (const agent of agents) await agent.heardBy(brain);
  }, 180_000);
  afterAll(async () => {
    for (const { process } of agents) process.signal("SIGCONT");
    for (const one of [...agents, brain, mayastor, cluster]) await one?.[Symbol.asyncDispose]();
    await plane?.stop();
  });

  /** Two tiers, with the volume's 50 IOPS on this side of them. */
  const apply = async (marks: { highWatermarkIOPS: number; lowWatermarkIOPS: number }) => {
    const spec = {
      ...{ hotPoolSelector: selector("hot"), coldPoolSelector: selector("cold"), warmWatermarkIOPS: 0 },
      ...{ ecPolicyRef: "wide", ecMinVolumeSizeBytes: 1, cooldownPeriod: "0s", ...marks },
    };
    const object = { apiVersion: "storage.billyronks.io/v1", kind: "StoragePolicy", metadata: { name: "tiers" }, spec };
    expect(await kubectl(plane, ["apply", "-f", "-"], JSON.stringify(object))).toMatchObject({ code: 0 });
  };
  const annotations = async () => {
    const path = `/api/v1/persistentvolumes/pvc-${volumeUuid(1)}`;
    const volume = (await plane.request("GET", path)) as { metadata: { annotations?: Record<string, string> } };
    return Object.keys(volume.metadata.annotations ?? {}).map((key) => key.replace("storage.billyronks.io/", ""));
  };
  const untilEnded = async (count: number) =>
    await until(
      `${count} migrations have ended`,
      async () => {
        const ended = (await migrationsIn(plane)).filter(({ status }) => status?.phase === "Finished");
        return ended.length >= count ? ended.map(({ spec, status }) => ({ ...spec, ...status?.outcome })) : undefined;
      },
      { everyMs: 250 },
    );
  const plan = async () => (await brain.cli("plan", "--json")).stdout;

  test("an ECVolume with data stands for the cold pool, by the policy that it names", async () => {
    const file = join(plane.dir, "archive.img");
    await writeFile(file, randomBytes(8 * 1024 * 1024));
    const shape = ["--code", "replica(2)", "--stripe-size", "1MiB", "--stripes-per-run", "2"];
    const importing = async () => {
      const { code, stderr } = await brain.cli("volume", "import", "archive", "--file", file, ...shape);
      if (code !== 0) throw new Error(stderr);
      return true;
    };
    // The agents' cluster is a few heartbeats old.
    await until("the file is imported", importing, { everyMs: 500 });
    const patch = JSON.stringify({ spec: { policyRef: "wide" } });
    const patched = await kubectl(plane, ["patch", "ecvolume", "archive", "--type=merge", "-p", patch]);
    expect(patched).toMatchObject({ code: 0 });
  }, 180_000);

  test("while one of its agents is silent nothing goes there, and the plan says why", async () => {
    agents[0]?.process.signal("SIGSTOP");
    await until("it is missed", async () => (await brain.cli("node", "list", "--json")).stdout.includes("Offline"));
    await apply({ highWatermarkIOPS: 5_000, lowWatermarkIOPS: 500 });
    await until("it is decided", async () => (await plan()).includes("ECVolume archive"));
    expect([await migrationsIn(plane), mayastor.tiers(1)]).toEqual([[], ["hot", "hot"]]);
    agents[0]?.process.signal("SIGCONT");
  }, 180_000);

  test("when it is whole two replicas become one, which is worth two, and how many there were is written on the volume", async () => {
    const [down] = await untilEnded(1);
    expect(down).toMatchObject({ toTier: "cold", finalReplicaCount: 1, ecPolicyRef: "wide", result: "Succeeded" });
    expect([mayastor.tiers(1), mayastor.cordons, mayastor.zeroLoss.violations]).toEqual([["cold"], [], []]);
    expect(await annotations()).toContain("replica-count");
  }, 180_000);

  test("hot again, it gets its two replicas back before the one goes, and the number is taken off", async () => {
    await apply({ highWatermarkIOPS: 40, lowWatermarkIOPS: 10 });
    const up = (await untilEnded(2)).find(({ toTier }) => toTier === "hot");
    expect(up).toMatchObject({ originalReplicaCount: 1, finalReplicaCount: 2, result: "Succeeded" });
    expect([mayastor.tiers(1), mayastor.cordons, mayastor.zeroLoss.violations]).toEqual([["hot", "hot"], [], []]);
    await until("the number is gone", async () => !(await annotations()).includes("replica-count"));
    expect(await annotations()).toContain("last-migration");
  }, 180_000);
});
