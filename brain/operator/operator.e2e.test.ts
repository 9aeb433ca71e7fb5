/** What an administrator sees: a StoragePolicy applied to a real cluster, watched by a brain under its own service account. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Migration } from "@couchestor/common/crd/migration.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { brainLease, brainNamespace, brainServiceAccount } from "../installation/needs.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { migrationSample } from "../testing/crd-samples.ts";
import { kubectl } from "../testing/installed-plane.ts";
import { until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { type TieringCluster, tieringCluster, volumeUuid } from "../testing/tiering-cluster.ts";
import {
  AgentProcess,
  BrainProcess,
  leaseHolder,
  operatorPlane,
  serviceAccountFolder,
} from "./testing/operator-cluster.ts";

const missing = controlPlaneMissing(["etcd", "kube-apiserver", "kubectl"]) ?? prometheusMissing();
if (missing) console.log(`skipped: a brain in a real cluster: ${missing}`);

/** 1: busy on cold pools. 2: lukewarm on cold. 3: idle on hot. 4: idle, half on hot. 5: no figure. 6: idle on cold. */
const iops = (n: number): number => [6_000, 3_000, 50, 40, Number.NaN, 30][n - 1] ?? 0;
const selector = (tier: string) => ({ matchLabels: { tier } });
const pools = {
  hotPoolSelector: selector("hot"),
  warmPoolSelector: selector("warm"),
  coldPoolSelector: selector("cold"),
};

describe.skipIf(missing !== undefined)(
  "a brain in a real cluster, under the service account of deploy/manifests",
  () => {
    let plane: ControlPlane;
    let cluster: TieringCluster;
    let brain: BrainProcess;
    beforeAll(async () => {
      plane = await operatorPlane({ audit: true });
      cluster = await tieringCluster(plane, { volumes: 6, iops });
      const place = (n: number, ...names: string[]) => {
        const volume = cluster.sim.volumes.get(volumeUuid(n));
        for (const [i, name] of names.entries())
          Object.assign(volume?.replicas[i] ?? {}, { pool: name, node: `node-${name.slice(-1)}` });
      };
      place(3, "hot-1", "hot-2");
      place(4, "hot-3", "cold-4");
      const credentials = await serviceAccountFolder(plane);
      brain = await BrainProcess.start({ plane, credentials, prometheus: cluster.prometheus, mayastor: cluster.sim });
      await brain.ready();
    }, 180_000);
    afterAll(async () => {
      await brain?.[Symbol.asyncDispose]();
      await cluster?.[Symbol.asyncDispose]();
      await plane?.stop();
    });

    const policy = async (name: string) =>
      (await plane.request("GET", `/apis/storage.billyronks.io/v1/storagepolicies/${name}`)) as StoragePolicy;
    const apply = async (name: string, spec: object) => {
      const object = { apiVersion: "storage.billyronks.io/v1", kind: "StoragePolicy", metadata: { name }, spec };
      return await kubectl(plane, ["apply", "-f", "-"], JSON.stringify(object));
    };

    test("kubectl shows what is watched as soon as the policy is applied, and describes why", async () => {
      expect(await apply("tiers", pools)).toMatchObject({ code: 0 });
      const { status } = await until("the policy is looked at", async () => {
        const found = await policy("tiers");
        return found.status?.watchedVolumes === 6 ? found : undefined;
      });
      expect(status).toMatchObject({
        phase: "Active",
        hotVolumes: 1,
        warmVolumes: 0,
        coldVolumes: 4,
        mixedVolumes: 1,
        unknownVolumes: 1,
      });
      const described = await until("the decisions are told", async () => {
        const { text } = await kubectl(plane, ["describe", "sp", "tiers"]);
        return text.includes("WouldMove") ? text : undefined;
      });
      for (const words of ["Volumes are watched.", "Heat is measured.", "Mixed Volumes:           1"])
        expect(described).toContain(words);
      expect(described).toMatch(
        /Normal +WouldMove .*default\/claim-1\), cold to hot: cold-2 to hot-1, cold-3 to hot-2\. 6000 IOPS/,
      );
      const { text } = await kubectl(plane, ["get", "sp", "tiers", "--no-headers"]);
      expect(text.split(/ +/).slice(0, 6)).toEqual(["tiers", "5000", "500", "Active", "6", "0"]);
    }, 180_000);

    test("couchestor plan says which volumes are hot, warm, cold, mixed or unknown, what would move where, and why", async () => {
      const { stdout, code } = await brain.cli("plan");
      expect(code).toBe(0);
      const rows = stdout.split("\n").filter((line) => line.startsWith("pvc-"));
      const columns = rows.map((row) => row.replace(/^pvc-\S+0(\d)/, "$1").split(/ {2,}/));
      expect(columns.map(([n, , ...rest]) => [n, ...rest.slice(0, 5)])).toEqual([
        ["1", "cold", "6000", "hot", "would move", "cold-2→hot-1 cold-3→hot-2"],
        ["4", "mixed", "40", "cold", "would move", "hot-3→cold-1"],
        ["2", "cold", "3000", "warm", "wait", "cold-3→warm-1 cold-4→warm-2"],
        ["3", "hot", "50", "cold", "wait", "hot-1→cold-3 hot-2→cold-4"],
        ["5", "cold", "unknown", "-", "stay", "-"],
        ["6", "cold", "30", "cold", "stay", "-"],
      ]);
      expect(rows[0]).toContain("6000 IOPS, hot is at least 5000");
      expect(rows[2]).toContain("waits for its turn: at most 2 of this policy at once");
      expect(rows[4]).toContain("heat unknown (NotANumber)");
      expect(cluster.sim.calls.filter((call) => !call.startsWith("GET "))).toEqual([]);
    }, 180_000);

    test("an edit is followed at once, a policy switched off watches nothing, and one deleted in the middle of it all harms no other", async () => {
      await apply("tiers", { ...pools, dryRun: true, highWatermarkIOPS: 10_000, maxConcurrentMigrations: 5 });
      const edited = await until("the edit is followed", async () => {
        const found = await policy("tiers");
        return found.status?.observedGeneration === 2 ? found : undefined;
      });
      const planned = edited.status?.plannedMoves ?? [];
      expect(planned.map(({ fromTier, toTier }) => `${fromTier} to ${toTier}`).sort()).toEqual([
        "cold to warm",
        "cold to warm",
        "hot to cold",
        "mixed to cold",
      ]);
      await apply("younger", { ...pools, dryRun: true });
      await until("the younger one sees that it has no say", async () => {
        const { status } = await policy("younger");
        return (
          status?.conditions?.find(({ type }) => type === "Conflict")?.status === "True" && status.watchedVolumes === 0
        );
      });
      await apply("tiers", { ...pools, enabled: false });
      await until("it is off, and the younger one takes over", async () => {
        const [off, younger] = [await policy("tiers"), await policy("younger")];
        return (
          off.status?.phase === "Disabled" && off.status.watchedVolumes === 0 && younger.status?.watchedVolumes === 6
        );
      });
      // Its status is being written again and again while it goes.
      for (let i = 1; i <= 5; i++) await apply("younger", { ...pools, highWatermarkIOPS: 5_000 + i });
      await kubectl(plane, ["delete", "sp", "younger", "--wait=false"]);
      await apply("tiers", pools);
      await until("the one left watches again", async () => (await policy("tiers")).status?.watchedVolumes === 6);
      expect((await kubectl(plane, ["get", "sp", "--no-headers"])).text.trim().split("\n")).toHaveLength(1);
    }, 180_000);

    test("a policy that makes no sense says so in words, and what is wrong in the schema is refused with them", async () => {
      await apply("wrong", { ...pools, samplingWindow: "10s" });
      const wrong = await until("it is judged", async () => {
        const found = await policy("wrong");
        return found.status?.phase === "Error" ? found : undefined;
      });
      const ready = wrong.status?.conditions?.find(({ type }) => type === "Ready");
      expect(ready?.message).toBe('samplingWindow: got "10s", allowed is 1m to 30d');
      await until("it is told as an event", async () =>
        (await kubectl(plane, ["get", "events", "-n", "default"])).text.includes("Invalid"),
      );
      const refused = await apply("refused", { ...pools, lowWatermarkIOPS: 6_000 });
      expect([refused.code, refused.text]).toEqual([
        1,
        expect.stringContaining("lowWatermarkIOPS: got 6000, allowed is less than highWatermarkIOPS (5000)"),
      ]);
      await kubectl(plane, ["delete", "sp", "wrong"]);
    }, 180_000);

    test("Migrations that end are counted where people look, failed ones apart; a person's are not the policy's", async () => {
      const { metadata } = await policy("tiers");
      const path = "/apis/storage.billyronks.io/v1/migrations";
      const make = async (name: string, result: string, more: object) => {
        const spec = { ...migrationSample.spec, policyRef: "tiers", policyUid: metadata.uid, ...more };
        const made = (await plane.request("POST", path, { ...migrationSample, metadata: { name }, spec })) as Migration;
        const outcome = { result, reason: "Tested", message: "for a test" };
        const status = { ...migrationSample.status, phase: "Finished", outcome };
        await plane.request("PUT", `${path}/${name}/status`, { ...made, status });
      };
      await make("well", "Succeeded", {});
      await make("late", "TimedOut", {});
      await make("by-hand", "Failed", { policyRef: undefined, policyUid: undefined });
      await make("of-another", "Failed", { policyUid: "another" });
      await until("they are counted", async () => {
        const { status } = await policy("tiers");
        return status?.totalMigrations === 2 && status.failedMigrations === 1 && status.activeMigrations === 0;
      });
      expect((await kubectl(plane, ["get", "sp", "tiers", "--no-headers"])).text.split(/ +/)[5]).toBe("2");
      expect(await brain.metric('storage_operator_migrations_total{status="timedout"}')).toBe(1);
    }, 180_000);

    test("an ErasureCodingPolicy is judged, and shows what its volumes' stripes are like", async () => {
      const object = { apiVersion: "storage.billyronks.io/v1", kind: "ErasureCodingPolicy", metadata: { name: "rs" } };
      await kubectl(plane, ["apply", "-f", "-"], JSON.stringify({ ...object, spec: {} }));
      await until("it is ready", async () => {
        const { text } = await kubectl(plane, ["get", "ecp", "rs", "--no-headers"]);
        return /^rs +4 +2 +1048576 +ReedSolomon +Ready /.test(text);
      });
    }, 180_000);

    test("at rest the brain writes its lease and nothing else, whatever it looks at meanwhile; the API server's own record says so", async () => {
      const { clusterUrl } = await brain.endpoint();
      await using agent = await AgentProcess.start("n1", clusterUrl);
      await agent.heardBy(brain);
      const account = `system:serviceaccount:${brainNamespace}:${brainServiceAccount}`;
      const writes = async () => (await plane.writes()).filter(({ user }) => user === account);
      const looks = async () =>
        (await brain.metric('storage_operator_reconcile_total{controller="tiering",outcome="requeued"}')) ?? 0;
      // What came before may still be told: at rest is when two seconds bring nothing but the lease.
      let before = await writes();
      await until("it is at rest", async () => {
        const since = before.length;
        await systemClock.sleep(2_500);
        before = await writes();
        return before.slice(since).every(({ resource }) => resource === "leases");
      });
      const [looked, startMs] = [await looks(), systemClock.monotonicMs()];
      await until("it has looked six times", async () => (await looks()) >= looked + 6);
      const tookMs = systemClock.monotonicMs() - startMs;
      const atRest = (await writes()).slice(before.length);
      const kinds = new Set(atRest.map(({ verb, resource, name, code }) => `${verb} ${resource} ${name} ${code}`));
      expect([...kinds]).toEqual([`update leases ${brainLease} 200`]);
      // Every two seconds, and one more in the time around.
      expect(atRest.length).toBeLessThanOrEqual(tookMs / 2_000 + 2);
    }, 180_000);

    test("without Prometheus nothing is known of heat, nothing would move, the brain isn't ready; with it everything is as before", async () => {
      await cluster.prometheus.kill();
      await until("the policy says so", async () => {
        const { status } = await policy("tiers");
        return (
          status?.conditions?.find(({ type }) => type === "HeatAvailable")?.status === "False" &&
          status.unknownVolumes === 6
        );
      });
      const { stdout } = await brain.cli("plan", "--moves");
      expect(stdout).toContain("all volumes stay where they are");
      const { status, checks } = await brain.readiness();
      expect([status, checks["apiServer"], checks["prometheus"]]).toEqual([
        503,
        "ok",
        expect.stringContaining("Prometheus"),
      ]);
      await cluster.prometheus.start();
      await brain.ready();
      await until("heat is known again", async () => (await policy("tiers")).status?.unknownVolumes === 1);
    }, 300_000);

    test("it asked for nothing that its service account may not do, and leaves in order when it is told to", async () => {
      expect(await brain.metric('couchestor_kube_request_errors_total{method="GET",code="403"}')).toBeUndefined();
      const { metricsUrl } = await brain.endpoint();
      const metrics = await (await fetch(`${metricsUrl}/metrics`)).text();
      expect(metrics).not.toContain('code="403"');
      for (const name of [
        'storage_operator_reconcile_total{controller="tiering",outcome="requeued"}',
        'storage_operator_migrations_total{status="succeeded"} 1',
        "storage_operator_active_migrations 0",
        'couchestor_decisions{action="move",reason="Hot"} 1',
        "couchestor_leader 1",
      ])
        expect(metrics).toContain(name);
      const documented = await Bun.file(join(import.meta.dir, "../../docs/kubernetes.md")).text();
      const rows = documented.split("\n").filter((line) => /^\| `(storage_operator|couchestor)_/.test(line));
      const names = rows.flatMap((row) => row.match(/`(storage_operator|couchestor)_[a-z_]+/g) ?? []);
      expect(names.length).toBeGreaterThan(14);
      for (const name of names) expect([name, metrics.includes(`# TYPE ${name.slice(1)} `)]).toEqual([name, true]);
      const writes = (await plane.writes()).filter(({ user }) => user.endsWith(`:${brainServiceAccount}`));
      expect(writes.filter(({ code }) => code === 403)).toEqual([]);
      brain.process.signal("SIGTERM");
      expect(await brain.process.exited).toBe(0);
      expect(await leaseHolder(plane)).toBe("");
      expect((await brain.log()).split("\n").filter((line) => / ERROR /.test(line))).toEqual([]);
    }, 180_000);
  },
);
