/** From heat to a replica on another tier: a policy applied to a real cluster has volumes moved, whatever becomes of brains and policies meanwhile. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { Migration } from "@couchestor/common/crd/migration.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { kubectl } from "../testing/installed-plane.ts";
import { until } from "../testing/processes.ts";
import { prometheusMissing } from "../testing/prometheus.ts";
import { type TieringCluster, tieringCluster, volumeUuid } from "../testing/tiering-cluster.ts";
import { MovingMayastor, migrationsIn, quickFlags } from "./testing/moving-cluster.ts";
import { BrainProcess, operatorPlane, releaseLease, serviceAccountFolder } from "./testing/operator-cluster.ts";

const missing = controlPlaneMissing(["etcd", "kube-apiserver", "kubectl"]) ?? prometheusMissing();
if (missing) console.log(`skipped: migrations in a real cluster: ${missing}`);

/** Odd volumes are busy and stand on cold pools, even ones are idle and stand on hot ones. */
const iops = (n: number): number => (n % 2 === 1 ? 6_000 : 50);
const selector = (tier: string) => ({ matchLabels: { tier } });
const policyOf = (numbers: readonly number[], more: object = {}) => ({
  hotPoolSelector: selector("hot"),
  coldPoolSelector: selector("cold"),
  warmWatermarkIOPS: 0,
  volumeSelector: { matchExpressions: [{ key: "number", operator: "In", values: numbers.map(String) }] },
  maxConcurrentMigrations: 4,
  ...more,
});

describe.skipIf(missing !== undefined)("migrations in a real cluster, with a Mayastor that follows its rules", () => {
  let plane: ControlPlane;
  let cluster: TieringCluster;
  let mayastor: MovingMayastor;
  let credentials: string;
  const brains: BrainProcess[] = [];
  beforeAll(async () => {
    plane = await operatorPlane();
    cluster = await tieringCluster(plane, { volumes: 4, iops });
    mayastor = new MovingMayastor().addPools(4);
    mayastor
      .addVolume(1, ["cold-1", "cold-2"])
      .addVolume(2, ["hot-1"])
      .addVolume(3, ["cold-1"])
      .addVolume(4, ["hot-1"]);
    credentials = await serviceAccountFolder(plane);
  }, 180_000);
  afterAll(async () => {
    for (const brain of brains) await brain[Symbol.asyncDispose]();
    await mayastor?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
    await plane?.stop();
  });

  const start = async (name: string, ...more: string[]): Promise<BrainProcess> => {
    const { prometheus } = cluster;
    const flags = [...quickFlags, "--max-concurrent-migrations=4", ...more];
    const brain = await BrainProcess.start({ plane, credentials, prometheus, mayastor, name, flags, moves: true });
    brains.push(brain);
    await brain.ready();
    return brain;
  };
  const apply = async (name: string, spec: object) => {
    const object = { apiVersion: "storage.billyronks.io/v1", kind: "StoragePolicy", metadata: { name }, spec };
    expect(await kubectl(plane, ["apply", "-f", "-"], JSON.stringify(object))).toMatchObject({ code: 0 });
  };
  const policy = async (name: string) =>
    (await plane.request("GET", `/apis/storage.billyronks.io/v1/storagepolicies/${name}`)) as StoragePolicy;
  const of = async (n: number): Promise<Migration | undefined> =>
    (await migrationsIn(plane)).find(({ spec }) => spec.volumeUuid === volumeUuid(n));
  const untilEnded = (n: number) =>
    until(
      `the migration of volume ${n} has ended`,
      async () => {
        const migration = await of(n);
        return migration?.status?.phase === "Finished" ? migration : undefined;
      },
      { everyMs: 250 },
    );
  let auditLog = "";

  test("a busy volume ends on hot pools and an idle one on cold pools, and everybody can see what happened and why", async () => {
    auditLog = join(plane.dir, "audit", "log.jsonl");
    const brain = await start("brain-1", `--audit-log=${auditLog}`);
    await apply("tiers", policyOf([1, 2]));
    const [up, down] = [await untilEnded(1), await untilEnded(2)];
    expect([up.status?.outcome, down.status?.outcome]).toMatchObject([
      { result: "Succeeded" },
      { result: "Succeeded" },
    ]);
    expect([mayastor.tiers(1), mayastor.tiers(2)]).toEqual([["hot", "hot"], ["cold"]]);
    expect([mayastor.cordons, mayastor.zeroLoss.violations]).toEqual([[], []]);
    expect(up.spec).toMatchObject({ policyRef: "tiers", fromTier: "cold", toTier: "hot", timeout: "30m" });
    const seen = await until("the policy's status and the volumes tell", async () => {
      const { status } = await policy("tiers");
      const volume = (await plane.request("GET", `/api/v1/persistentvolumes/pvc-${volumeUuid(1)}`)) as {
        metadata: { annotations?: Record<string, string> };
      };
      const annotation = volume.metadata.annotations?.["storage.billyronks.io/last-migration"];
      const complete = status?.migrationHistory?.length === 2 && annotation !== undefined && status.hotVolumes === 1;
      return complete ? { status, annotation } : undefined;
    });
    expect(seen.status).toMatchObject({ totalMigrations: 2, failedMigrations: 0, activeMigrations: 0 });
    expect(seen.annotation).toBe(up.status?.endTime ?? "");
    expect(seen.status.migrationHistory?.map(({ success, migration }) => [success, migration]).sort()).toEqual(
      [up, down].map(({ metadata }) => [true, metadata.name]).sort(),
    );
    await until("the events tell", async () => {
      const { text } = await kubectl(plane, ["describe", "mig", up.metadata.name]);
      return ["MigrationStarted", "MigrationSucceeded"].every((reason) => new RegExp(`Normal +${reason}`).test(text));
    });
    expect(await brain.metric('couchestor_migration_ends_total{result="Succeeded",reason="Moved"}')).toBe(2);
    const listed = await brain.cli("migration", "list", "--policy", "tiers");
    expect(listed).toMatchObject({ code: 0, stdout: expect.stringMatching(/cold +hot +Succeeded/) });
    const lines = (await Bun.file(auditLog).text()).trim().split("\n");
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.filter(({ event }) => event === "Decided")).toHaveLength(2);
    expect(events.find(({ event, volume }) => event === "Decided" && volume === up.spec.volumeName)).toMatchObject({
      decidedBy: { kind: "StoragePolicy", name: "tiers", generation: 1 },
      toTier: "hot",
      heat: { kind: "score" },
      brain: "brain-1",
    });
  }, 300_000);

  test("nothing is moved again that has been moved, and at rest nothing is written", async () => {
    const before = (await migrationsIn(plane)).length;
    const changes = mayastor.calls.filter((call) => !call.startsWith("GET ")).length;
    await apply("tiers", policyOf([1, 2], { lowWatermarkIOPS: 501 }));
    await until("the policy is looked at again", async () => (await policy("tiers")).status?.observedGeneration === 2);
    expect((await migrationsIn(plane)).length).toBe(before);
    expect(mayastor.calls.filter((call) => !call.startsWith("GET ")).length).toBe(changes);
  }, 180_000);

  test("a policy that is deleted in the middle leaves its migration to go on to its end", async () => {
    await apply("short", policyOf([4]));
    await until("it has begun", async () => (await of(4))?.status?.baseline !== undefined);
    await kubectl(plane, ["delete", "sp", "short", "--wait=false"]);
    expect((await untilEnded(4)).status?.outcome).toMatchObject({ result: "Succeeded" });
    expect([mayastor.tiers(4), mayastor.cordons]).toEqual([["cold"], []]);
  }, 180_000);

  test("a brain that is killed in the middle is followed by another, which goes on from the journal; never are there two", async () => {
    const [first] = brains;
    const second = await start("brain-2");
    await apply("killed", policyOf([3]));
    await until("cordons are set", async () => mayastor.cordons.length > 0, { everyMs: 20 });
    first?.process.signal("SIGKILL");
    await first?.process.exited;
    await releaseLease(plane);
    expect((await untilEnded(3)).status?.outcome).toMatchObject({ result: "Succeeded" });
    expect([mayastor.tiers(3), mayastor.cordons, mayastor.zeroLoss.violations]).toEqual([["hot"], [], []]);
    expect(await second.metric("couchestor_leader")).toBe(1);
    expect((await migrationsIn(plane)).filter(({ spec }) => spec.volumeUuid === volumeUuid(3))).toHaveLength(1);
  }, 300_000);
});
