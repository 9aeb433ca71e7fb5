/** What must not harm: an API server that restarts, others who write the same objects all the time, and other brains; agents find the one that leads. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { brainService } from "../installation/needs.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { deployedObjects, kubectl } from "../testing/installed-plane.ts";
import { until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { type TieringCluster, tieringCluster } from "../testing/tiering-cluster.ts";
import {
  AgentProcess,
  BrainProcess,
  leaseHolder,
  operatorPlane,
  serviceAccountFolder,
} from "./testing/operator-cluster.ts";
import { ServiceProxy } from "./testing/service-proxy.ts";

const missing = controlPlaneMissing(["etcd", "kube-apiserver", "kubectl"]) ?? prometheusMissing();
if (missing) console.log(`skipped: a brain in a cluster in trouble: ${missing}`);

const policyPath = "/apis/storage.billyronks.io/v1/storagepolicies";
const selector = (tier: string) => ({ matchLabels: { tier } });
const pools = {
  hotPoolSelector: selector("hot"),
  warmPoolSelector: selector("warm"),
  coldPoolSelector: selector("cold"),
};

describe.skipIf(missing !== undefined)("brains in a cluster in trouble", () => {
  let plane: ControlPlane;
  let cluster: TieringCluster;
  let credentials: string;
  let service: ServiceProxy;
  let agent: AgentProcess;
  const brains: BrainProcess[] = [];
  beforeAll(async () => {
    plane = await operatorPlane();
    cluster = await tieringCluster(plane, { volumes: 3, iops: (n) => n * 2_000 });
    credentials = await serviceAccountFolder(plane);
    service = await ServiceProxy.start(plane, `${brainService}-ipv4`);
    agent = await AgentProcess.start("n1", service.url);
  }, 180_000);
  afterAll(async () => {
    await agent?.[Symbol.asyncDispose]();
    await service?.[Symbol.asyncDispose]();
    for (const brain of brains) await brain[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
    await plane?.stop();
  });

  const addressOf = (name: string) => `10.99.0.${name.slice(-1)}`;
  const start = async (name: string) => {
    const brain = await BrainProcess.start({
      plane,
      credentials,
      name,
      prometheus: cluster.prometheus,
      mayastor: cluster.sim,
      flags: [`--leader-endpoints=${brainService}`, `--advertise-address=${addressOf(name)}`],
    });
    brains.push(brain);
    await brain.ready();
    return brain;
  };
  const policy = async (name: string) => (await plane.request("GET", `${policyPath}/${name}`)) as StoragePolicy;
  // A connection kept from before a restart is found dead by the first who uses it.
  const merge = async (name: string, patch: object) =>
    await until("the patch is taken", async () => {
      const path = `${policyPath}/${name}`;
      return (await plane.request("PATCH", path, patch, "application/merge-patch+json")) as StoragePolicy;
    });
  const create = (name: string, spec: object) =>
    plane.request("POST", policyPath, {
      apiVersion: "storage.billyronks.io/v1",
      kind: "StoragePolicy",
      metadata: { name },
      spec,
    });
  /** Waits until the status speaks of this generation, and of all volumes. */
  const followed = (name: string, generation: number | undefined) =>
    until(`generation ${generation} of ${name} is followed`, async () => {
      const { status } = await policy(name);
      return status?.observedGeneration === generation && status?.watchedVolumes === 3;
    });

  test("others who write the policy again and again delay its status, and neither side loses what it wrote", async () => {
    const first = await start("brain-1");
    await agent.heardBy(first);
    await create("tiers", pools);
    let writing = true;
    let annotated = 0;
    const storm = (async () => {
      while (writing) {
        await merge("tiers", { metadata: { annotations: { storm: String(++annotated) } } });
        await systemClock.sleep(10);
      }
    })();
    const { metadata } = await merge("tiers", { spec: { lowWatermarkIOPS: 600 } });
    await followed("tiers", metadata.generation);
    writing = false;
    await storm;
    const { metadata: after, spec } = await policy("tiers");
    expect(after.annotations?.["storm"]).toBe(String(annotated));
    expect(spec.lowWatermarkIOPS).toBe(600);
  }, 180_000);

  test("of two brains one acts, and says so; the other answers for itself, knows who leads, and takes over when that one leaves", async () => {
    const [first] = brains;
    const second = await start("brain-2");
    expect(await first?.metric("couchestor_leader")).toBe(1);
    expect(await second.metric("couchestor_leader")).toBe(0);
    expect((await second.readiness()).checks["leader"]).toStartWith("brain-1_");
    const { adminUrl } = await second.endpoint();
    const refusal = await fetch(`${adminUrl}/v1/plan`);
    expect([refusal.status, await refusal.text()]).toEqual([503, expect.stringContaining("brain-1_")]);
    // Who asks again must not come back here by the same connection.
    expect(refusal.headers.get("connection")).toBe("close");
    const { metadata } = await merge("tiers", { spec: { lowWatermarkIOPS: 601 } });
    await followed("tiers", metadata.generation);
    expect(await second.log()).not.toContain("became the leader");
    first?.process.signal("SIGTERM");
    expect(await first?.process.exited).toBe(0);
    const { metadata: next } = await merge("tiers", { spec: { lowWatermarkIOPS: 602 } });
    await followed("tiers", next.generation);
    expect(await leaseHolder(plane)).toStartWith("brain-2_");
    expect((await second.cli("plan")).code).toBe(0);
    await service.leadsTo(addressOf("brain-2"));
    await agent.heardBy(second);
  }, 180_000);

  test("a leader that stands still for longer than its lease acts no more when it goes on; who took over does", async () => {
    const second = brains[1] as BrainProcess;
    const third = await start("brain-3");
    second.process.signal("SIGSTOP");
    const { metadata } = await merge("tiers", { spec: { lowWatermarkIOPS: 603 } });
    await followed("tiers", metadata.generation);
    expect(await leaseHolder(plane)).toStartWith("brain-3_");
    await agent.heardBy(third);
    const slice = await service.leadsTo(addressOf("brain-3"));
    second.process.signal("SIGCONT");
    await until("the second notices", async () => (await second.metric("couchestor_leader")) === 0);
    expect(await third.metric("couchestor_leader")).toBe(1);
    expect(await second.log()).toContain("lost the lease");
    expect(await service.slice()).toEqual(slice);
    // Nobody touched the agent, and it can't say which brain it speaks to.
    expect(agent.process.exitCode).toBeNull();
  }, 180_000);

  test("an API server that restarts is found again: the brain is not ready meanwhile, then ready, and follows what is changed", async () => {
    const third = brains[2] as BrainProcess;
    await plane.stopApiServer();
    await until("it is not ready", async () => (await third.readiness()).status === 503);
    await plane.startApiServer();
    await third.ready();
    const { metadata } = await merge("tiers", { spec: { lowWatermarkIOPS: 604 } });
    await followed("tiers", metadata.generation);
    await agent.heardBy(third);
  }, 180_000);

  test("what leads agents to the leader survives a new kubectl apply of the manifests", async () => {
    const before = await service.leadsTo(addressOf("brain-3"));
    const slices = (await deployedObjects("manifests")).filter(({ kind }) => kind === "EndpointSlice");
    expect(slices).toHaveLength(2);
    for (const slice of slices) {
      const applied = await kubectl(plane, ["apply", "--server-side", "-f", "-"], JSON.stringify(slice));
      expect(applied).toMatchObject({ code: 0 });
    }
    expect((await service.slice()).endpoints).toEqual(before.endpoints);
  }, 180_000);
});
