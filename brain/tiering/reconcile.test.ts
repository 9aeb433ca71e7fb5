import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import {
  type StoragePolicy,
  type StoragePolicySpec,
  storagePolicySpecSchema,
} from "@couchestor/common/crd/storage-policy.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { MayastorClient } from "../mayastor/client.ts";
import { mayastorPolicy } from "../mayastor/http-transport.ts";
import { MayastorSim } from "../testing/mayastor/at-rest.ts";
import { type Heat, unknown } from "./heat.ts";
import type { HeatSource } from "./heat-source.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { ClaimedVolume } from "./kube-volumes.ts";
import { Tiering, type TieringSettings } from "./reconcile.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
const selector = (tier: string) => ({ matchLabels: { tier } });

/** Everything around a reconcile but Mayastor's API, which is spoken for real. */
class World implements AsyncDisposable {
  readonly clock = new FakeClock();
  readonly sim = new MayastorSim();
  readonly policies = new Map<string, StoragePolicy>();
  readonly volumes: ClaimedVolume[] = [];
  readonly heats = new Map<string, Heat>();
  heatError: AppError | undefined;
  snapshots = 0;
  writes = 0;
  /** Called before a status is written. */
  migrations: KnownMigration[] = [];
  onWrite: ((policy: StoragePolicy) => void) | undefined;

  constructor() {
    for (const n of [1, 2, 3]) {
      this.sim.addPool(`hot-${n}`, `node-${n}`, { tier: "hot" });
      this.sim.addPool(`cold-${n}`, `node-${n}`, { tier: "cold" });
    }
  }

  addPolicy(name: string, spec: Partial<StoragePolicySpec> = {}): void {
    const given = {
      warmWatermarkIOPS: 0,
      hotPoolSelector: selector("hot"),
      coldPoolSelector: selector("cold"),
      ...spec,
    };
    const metadata = { name, generation: 1, resourceVersion: "1", creationTimestamp: "2026-01-01T00:00:00Z" };
    this.policies.set(name, {
      apiVersion,
      kind: "StoragePolicy",
      metadata,
      spec: storagePolicySpecSchema.parse(given),
    });
  }

  addVolume(n: number, pools: string[], heat: Heat | number): void {
    this.sim.addVolume(uuid(n), pools);
    this.volumes.push({
      uuid: uuid(n),
      name: `pvc-${uuid(n)}`,
      claim: { namespace: "default", name: `claim-${n}`, labels: {} },
      storageClassName: "mayastor",
      sizeBytes: 1,
      lastMigration: undefined,
    });
    const score =
      typeof heat === "number" ? ({ kind: "score", iops: heat, samples: 9, source: "t", ageMs: 1 } as const) : heat;
    this.heats.set(`pvc-${uuid(n)}`, score);
  }

  tiering(settings: Partial<TieringSettings> = {}): Tiering {
    const heat: HeatSource = {
      name: "test",
      ping: async () => undefined,
      snapshot: async () => {
        this.snapshots += 1;
        if (this.heatError !== undefined) throw this.heatError;
        const of = (names: readonly string[]) => this.heats.get(names[0] ?? "") ?? unknown("SeriesMissing", "none");
        return { of, volumes: this.heats.size, requests: 5, clockOffsetMs: 0, takenAtMs: this.clock.monotonicMs() };
      },
    };
    const store = {
      get: async (_: unknown, name: string) => this.policies.get(name) as never,
      updateStatus: async (_: unknown, object: unknown) => {
        const policy = object as StoragePolicy;
        this.onWrite?.(policy);
        const current = this.policies.get(policy.metadata.name);
        if (current === undefined) throw new AppError("NotFound", "gone");
        if (current.metadata.resourceVersion !== policy.metadata.resourceVersion)
          throw new AppError("Conflict", "changed");
        const resourceVersion = String(Number(current.metadata.resourceVersion) + 1);
        const written = {
          ...current,
          status: structuredClone(policy.status),
          metadata: { ...current.metadata, resourceVersion },
        };
        this.policies.set(policy.metadata.name, written);
        this.writes += 1;
        return written as never;
      },
    };
    const policy = { ...mayastorPolicy, attemptsMax: 1 };
    const mayastor = new MayastorClient({ url: this.sim.url, policy });
    const { clock } = this;
    const deps = {
      clock,
      store,
      policies: () => this.policies.values(),
      volumes: () => this.volumes,
      migrations: () => this.migrations,
      mayastor,
      heat,
    };
    return new Tiering(deps, { maxConcurrent: 2, dryRun: false, preservationMode: false, ...settings });
  }

  status(name: string) {
    const status = this.policies.get(name)?.status;
    if (status === undefined) throw new Error(`${name} has no status`);
    return status;
  }

  condition(name: string, type: string) {
    return this.status(name).conditions?.find((condition) => condition.type === type);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sim[Symbol.asyncDispose]();
  }
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world[Symbol.asyncDispose]());

describe("one look", () => {
  test("counts what each policy watches and plans moves with pools and reasons", async () => {
    world.addPolicy("p");
    world.addVolume(1, ["cold-1"], 9000);
    world.addVolume(2, ["hot-1"], 9000);
    world.addVolume(3, ["hot-2", "cold-3"], 100);
    world.addVolume(4, ["hot-2"], unknown("Stale", "old"));
    world.migrations.push(sampleMigration("m", { end: sampleEnd("Failed") }));
    const { plan } = await world.tiering().reconcile();
    expect(world.status("p")).toMatchObject({
      phase: "Active",
      observedGeneration: 1,
      watchedVolumes: 4,
      hotVolumes: 2,
      coldVolumes: 1,
      mixedVolumes: 1,
      unknownVolumes: 1,
      ...{ activeMigrations: 0, totalMigrations: 1, failedMigrations: 1 },
    });
    expect(plan?.moves.map(({ volume, target }) => [volume.uuid, target])).toEqual([
      [uuid(3), "cold"],
      [uuid(1), "hot"],
    ]);
    for (const type of ["Ready", "HeatAvailable", "ControlPlaneAvailable", "PoolsUsable"]) {
      expect(world.condition("p", type)?.status).toBe("True");
    }
    expect(world.condition("p", "Conflict")?.status).toBe("False");
    expect(world.status("p")).not.toHaveProperty("plannedMoves");
  });

  test("at rest writes nothing, though scores change, and asks each window once", async () => {
    world.addPolicy("a", { dryRun: true });
    world.addPolicy("b", { storageClassName: "other", samplingWindow: "2h" });
    world.addPolicy("c", { storageClassName: "third" });
    world.addVolume(1, ["cold-1"], 9000);
    const tiering = world.tiering();
    await tiering.reconcile();
    expect([world.writes, world.snapshots]).toEqual([3, 2]);
    for (const iops of [9100, 9200, 8000]) {
      world.heats.set(`pvc-${uuid(1)}`, { kind: "score", iops, samples: 9, source: "t", ageMs: 1 });
      await world.clock.advance(60_000);
      expect((await tiering.reconcile()).statusWrites).toBe(0);
    }
    expect(world.writes).toBe(3);
  });

  test("with dryRun shows the moves in status, the most urgent first, and takes them away when it is off", async () => {
    world.addPolicy("p", { dryRun: true });
    world.addVolume(1, ["cold-1"], 6000);
    world.addVolume(2, ["cold-1"], 9000);
    const tiering = world.tiering();
    const { plan } = await tiering.reconcile();
    expect(plan?.moves.every(({ dryRun }) => dryRun)).toBe(true);
    expect(world.status("p").plannedMoves).toMatchObject([
      { volumeName: `pvc-${uuid(2)}`, fromTier: "cold", toTier: "hot", iops: 9000 },
      { volumeName: `pvc-${uuid(1)}`, iops: 6000 },
    ]);
    expect(world.status("p").plannedMoves?.[0]?.reason).toBe("9000 IOPS, hot is at least 5000: cold-1 to hot-2");
    const policy = world.policies.get("p");
    if (policy !== undefined) policy.spec = { ...policy.spec, dryRun: false };
    await tiering.reconcile();
    expect(world.status("p")).not.toHaveProperty("plannedMoves");
  });
});

describe("when something is wrong", () => {
  test("Prometheus away: nothing moves, all is Unknown, the condition keeps its first words, and it all comes back", async () => {
    world.addPolicy("p");
    world.addVolume(1, ["hot-1"], 100);
    const tiering = world.tiering();
    world.heatError = new AppError("Unavailable", "Prometheus can't be reached at http://prometheus:9090: refused");
    expect((await tiering.reconcile()).plan?.moves).toEqual([]);
    expect(world.status("p")).toMatchObject({ unknownVolumes: 1, hotVolumes: 1 });
    expect(world.condition("p", "HeatAvailable")).toMatchObject({ status: "False", reason: "SourceUnavailable" });
    world.heatError = new AppError("Unavailable", "Prometheus failed 5 times in a row; not asked again yet");
    expect((await tiering.reconcile()).statusWrites).toBe(0);
    world.heatError = undefined;
    expect((await tiering.reconcile()).plan?.moves.length).toBe(1);
    expect(world.condition("p", "HeatAvailable")?.status).toBe("True");
  });

  test("Mayastor away: counts stay, the condition says why, and it is tried again", async () => {
    world.addPolicy("p");
    world.addVolume(1, ["hot-1"], 100);
    const tiering = world.tiering();
    await tiering.reconcile();
    world.sim.mode = "html";
    await expect(tiering.reconcile()).rejects.toThrow(/is not JSON/);
    expect(world.status("p")).toMatchObject({ watchedVolumes: 1, hotVolumes: 1 });
    expect(world.condition("p", "ControlPlaneAvailable")?.status).toBe("False");
    expect(tiering.latest?.plan?.moves.length).toBe(1);
    expect(tiering.latest?.warnings[0]).toContain("is not JSON");
    world.sim.mode = "well";
    await tiering.reconcile();
    expect(world.condition("p", "ControlPlaneAvailable")?.status).toBe("True");
  });

  test("an invalid policy says which field and moves nothing; a disabled one watches nothing", async () => {
    world.addPolicy("bad", { lowWatermarkIOPS: 7000 });
    world.addPolicy("off", { enabled: false, storageClassName: "other" });
    world.addVolume(1, ["cold-1"], 9000);
    const { plan } = await world.tiering().reconcile();
    expect(plan?.moves).toEqual([]);
    expect(world.status("bad")).toMatchObject({ phase: "Error", watchedVolumes: 1 });
    expect(world.condition("bad", "Ready")?.message).toBe(
      "lowWatermarkIOPS: got 7000, allowed is less than highWatermarkIOPS (5000)",
    );
    expect(world.status("off")).toMatchObject({ phase: "Disabled", watchedVolumes: 0 });
    expect(world.snapshots).toBe(0);
  });

  test("selectors that select nothing, or a pool twice, are named", async () => {
    world.addPolicy("none", { coldPoolSelector: selector("frozen") });
    world.addPolicy("twice", { storageClassName: "other", coldPoolSelector: {} });
    await world.tiering().reconcile();
    expect(world.condition("none", "PoolsUsable")).toMatchObject({ status: "False", reason: "SelectorMatchesNothing" });
    expect(world.condition("none", "PoolsUsable")?.message).toContain("cold (tier=frozen)");
    expect(world.condition("twice", "PoolsUsable")?.message).toContain("used for neither: hot-1, hot-2, hot-3");
  });

  test("two policies on one volume: the younger is told who has it", async () => {
    world.addPolicy("b-older");
    world.addPolicy("a-younger");
    const younger = world.policies.get("a-younger");
    if (younger !== undefined) younger.metadata.creationTimestamp = "2026-01-02T00:00:00Z";
    world.addVolume(1, ["hot-1"], 9000);
    await world.tiering().reconcile();
    expect(world.status("b-older").watchedVolumes).toBe(1);
    expect(world.status("a-younger").watchedVolumes).toBe(0);
    expect(world.condition("a-younger", "Conflict")).toMatchObject({ status: "True", reason: "OlderPolicyWins" });
    expect(world.condition("a-younger", "Conflict")?.message).toContain("StoragePolicy b-older has 1 of them");
  });

  test("a policy that was edited or deleted meanwhile keeps no other from its status", async () => {
    for (const name of ["a", "b", "c"]) world.addPolicy(name, { storageClassName: name });
    world.onWrite = ({ metadata }) => {
      const current = world.policies.get(metadata.name);
      if (metadata.name === "a" && current !== undefined) {
        world.policies.set("a", { ...current, metadata: { ...current.metadata, resourceVersion: "7", generation: 2 } });
      }
      if (metadata.name === "b") world.policies.delete("b");
    };
    const tiering = world.tiering();
    await expect(tiering.reconcile()).rejects.toMatchObject({ code: "Conflict" });
    expect(world.status("c").phase).toBe("Active");
    world.onWrite = undefined;
    await tiering.reconcile();
    expect(world.status("a")).toMatchObject({ phase: "Active", observedGeneration: 2 });
  });

  test("whoever annotates a policy all the time doesn't keep it from its status, and loses no annotation", async () => {
    world.addPolicy("a", {});
    let annotated = 0;
    world.onWrite = ({ metadata }) => {
      const current = world.policies.get(metadata.name);
      if (current === undefined || annotated === 3) return;
      annotated += 1;
      const resourceVersion = String(Number(current.metadata.resourceVersion) + 1);
      const annotations = { storm: String(annotated) };
      world.policies.set("a", { ...current, metadata: { ...current.metadata, resourceVersion, annotations } });
    };
    expect((await world.tiering().reconcile()).statusWrites).toBe(1);
    expect(world.status("a").phase).toBe("Active");
    expect(world.policies.get("a")?.metadata.annotations).toEqual({ storm: "3" });
  });
});
