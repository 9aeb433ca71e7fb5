/** From a look at everything to Migrations: what is made, what is held back, and what the policy's status says of it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { Migration } from "@couchestor/common/crd/migration.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { type StoragePolicy, storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { MayastorClient } from "../mayastor/client.ts";
import { MayastorSim } from "../testing/mayastor/at-rest.ts";
import { resumeAnnotation } from "./brake.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { ClaimedVolume } from "./kube-volumes.ts";
import { Launcher } from "./launcher.ts";
import { Tiering, type TieringSettings } from "./reconcile.ts";
import { sampleNowMs } from "./testing/decision-samples.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";

const uuid = (n: number): string => `00000000-0000-4000-8000-${n.toString(16).padStart(12, "0")}`;
const gib = 1024 ** 3;

class World implements AsyncDisposable {
  readonly clock = new FakeClock(sampleNowMs);
  readonly sim = new MayastorSim();
  readonly made: Migration[] = [];
  readonly notes: [string, Record<string, string | null>][] = [];
  migrations: KnownMigration[] = [];
  policy: StoragePolicy;
  refuse: AppError | undefined;
  readonly #launcher: Launcher;

  constructor() {
    for (let n = 1; n <= 4; n++)
      for (const tier of ["hot", "cold"]) this.sim.addPool(`${tier}-${n}`, `node-${n}`, { tier });
    for (const n of [1, 2, 3, 4]) this.sim.addVolume(uuid(n), [`cold-${n}`]);
    this.policy = policyWith();
    const store = {
      create: async (_: unknown, object: Migration) => {
        if (this.refuse !== undefined) throw this.refuse;
        this.made.push(object);
        return object as never;
      },
    };
    const noteReplicaCount = async () => undefined;
    this.#launcher = new Launcher(
      { clock: this.clock, store: store as never, decided: () => undefined, noteReplicaCount },
      "30m",
    );
  }

  async look(settings: Partial<TieringSettings> = {}) {
    const volumes = [1, 2, 3, 4].map(
      (n): ClaimedVolume => ({
        uuid: uuid(n),
        name: `pvc-${n}`,
        claim: { namespace: "default", name: `claim-${n}`, labels: {} },
        storageClassName: "mayastor",
        sizeBytes: gib,
        lastMigration: undefined,
      }),
    );
    const of = () => ({ kind: "score", iops: 9_000, samples: 9, source: "t", ageMs: 1 }) as const;
    const heat = {
      name: "test",
      ping: async () => undefined,
      snapshot: async () => ({ of, volumes: 4, requests: 1, clockOffsetMs: 0, takenAtMs: this.clock.monotonicMs() }),
    };
    const store = {
      get: async () => this.policy as never,
      updateStatus: async (_: unknown, object: unknown) => {
        this.policy = object as StoragePolicy;
        return object as never;
      },
    };
    const annotate = async (name: string, annotations: Record<string, string | null>) =>
      void this.notes.push([name, annotations]);
    const tiering = new Tiering(
      {
        clock: this.clock,
        store,
        policies: () => [this.policy],
        volumes: () => volumes,
        migrations: () => this.migrations,
        launcher: this.#launcher,
        notes: { annotate },
        mayastor: new MayastorClient({ url: this.sim.url }),
        heat,
      },
      { maxConcurrent: 4, dryRun: false, preservationMode: false, ...settings },
    );
    return await tiering.reconcile();
  }

  reasons(plan: Awaited<ReturnType<World["look"]>>["plan"]) {
    return plan?.policies[0]?.entries.map(({ action, reason }) => `${action} ${reason}`);
  }

  get allowed() {
    return this.policy.status?.conditions?.find(({ type }) => type === "MigrationsAllowed");
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.sim[Symbol.asyncDispose]();
  }
}

function policyWith(spec: object = {}, metadata: object = {}): StoragePolicy {
  const selector = (tier: string) => ({ matchLabels: { tier } });
  const selectors = { hotPoolSelector: selector("hot"), coldPoolSelector: selector("cold"), warmWatermarkIOPS: 0 };
  return {
    apiVersion,
    kind: "StoragePolicy",
    metadata: {
      name: "p",
      uid: "u",
      generation: 1,
      resourceVersion: "1",
      creationTimestamp: "2026-01-01T00:00:00Z",
      ...metadata,
    },
    spec: storagePolicySpecSchema.parse({ ...selectors, ...spec }),
  };
}

let world: World;
beforeEach(() => {
  world = new World();
});
afterEach(() => world[Symbol.asyncDispose]());

describe("what should move", () => {
  test("is made once, as many at once as are allowed, although the cache doesn't show them yet", async () => {
    expect((await world.look()).launched).toBe(2);
    expect(world.made.map(({ spec }) => spec.volumeName)).toEqual(["pvc-1", "pvc-2"]);
    const again = await world.look();
    expect([again.launched, world.made.length]).toEqual([0, 2]);
    expect(world.reasons(again.plan)).toEqual([
      "moving MigrationActive",
      "moving MigrationActive",
      "wait PolicyConcurrency",
      "wait PolicyConcurrency",
    ]);
    expect(world.policy.status?.activeMigrations).toBe(2);
  });

  test("is never made in a dry run, be it the policy's or the brain's", async () => {
    expect((await world.look({ dryRun: true })).launched).toBe(0);
    expect(world.allowed).toMatchObject({ status: "False", reason: "DryRun" });
    world.policy = policyWith({ dryRun: true });
    expect((await world.look()).launched).toBe(0);
    expect(world.allowed).toMatchObject({ status: "False", reason: "PolicyDryRun" });
    expect(world.made).toEqual([]);
  });

  test("that can't be made is told, and tried again", async () => {
    world.refuse = new AppError("InvalidArgument", "the API server won't have it");
    await expect(world.look()).rejects.toThrow("won't have it");
    expect(world.policy.status?.watchedVolumes).toBe(4);
    world.refuse = undefined;
    expect((await world.look()).launched).toBe(2);
  });
});

describe("what is held back", () => {
  const failed = (n: number) =>
    sampleMigration(`m${n}`, {
      policyUid: "u",
      policyGeneration: 1,
      volumeUuid: `other-${n}`,
      end: sampleEnd("Failed", n * 1_000),
    });

  test("a policy that fails again and again is paused, says how to resume it, and goes on when it is told to", async () => {
    world.migrations = [failed(1), failed(2), failed(3)];
    const { plan, launched } = await world.look();
    expect([launched, world.reasons(plan)]).toEqual([0, Array(4).fill("wait Paused")]);
    expect(world.allowed).toMatchObject({
      status: "False",
      reason: "Paused",
      message: expect.stringContaining(resumeAnnotation),
    });
    expect(world.policy.status).toMatchObject({ totalMigrations: 3, failedMigrations: 3 });
    const annotations = { [resumeAnnotation]: new Date(sampleNowMs).toISOString() };
    world.policy = { ...world.policy, metadata: { ...world.policy.metadata, annotations } };
    expect((await world.look()).launched).toBe(2);
    expect(world.allowed).toMatchObject({ status: "True" });
  });

  test("outside the window nothing begins, and inside it does", async () => {
    // 2027-01-15T08:00:00Z
    world.policy = policyWith({ schedule: { cron: "0 9 * * *", duration: "1h", timeZone: "UTC" } });
    expect(world.reasons((await world.look()).plan)).toEqual(Array(4).fill("wait OutsideWindow"));
    expect(world.allowed?.message).toContain("opens at 2027-01-15T09:00:00.000Z");
    await world.clock.advance(3_600_000);
    expect((await world.look()).launched).toBe(2);
  });

  test("bytes a second limit what begins, of a policy and of all", async () => {
    world.policy = policyWith({ maxBytesPerSecond: 1024 ** 2, maxConcurrentMigrations: 4 });
    const first = await world.look();
    expect([first.launched, world.reasons(first.plan)?.slice(1)]).toEqual([1, Array(3).fill("wait BytesPerSecond")]);
    const [migration] = world.made;
    world.migrations = [
      sampleMigration(migration?.metadata.name ?? "", { volumeUuid: uuid(1), createdMs: sampleNowMs, bytes: gib }),
    ];
    await world.clock.advance(1_023_000);
    expect((await world.look()).launched).toBe(0);
    await world.clock.advance(2_000);
    expect((await world.look()).launched).toBe(1);
    world.policy = policyWith({ maxConcurrentMigrations: 4 });
    expect((await world.look({ bytesPerSecond: 1024 ** 2 })).launched).toBe(0);
  });

  test("volumes that Mayastor shows to be unfit wait or are refused, each with what to do", async () => {
    const volume = (n: number) => world.sim.volumes.get(uuid(n)) as object;
    Object.assign(volume(1), { selfHeal: false });
    Object.assign(volume(2), { snapshots: 2 });
    Object.assign(volume(3), { publishedOn: undefined });
    Object.assign(volume(4), { numReplicas: 2 });
    const { plan } = await world.look();
    expect(world.reasons(plan)).toEqual([
      "refuse SelfHealOff",
      "refuse Snapshots",
      "refuse NotPublished",
      "wait VolumeNotReady",
    ]);
    const allow = { snapshots: true, offlineRebuild: true };
    expect((await world.look({ allow })).launched).toBe(2);
  });

  test("a volume whose migration has failed is left alone for a while, and one that was moved has that written on it", async () => {
    world.migrations = [
      sampleMigration("bad", { policyUid: "u", volumeName: "pvc-1", volumeUuid: uuid(1), end: sampleEnd("Failed") }),
      sampleMigration("good", {
        policyUid: "u",
        volumeName: "pvc-2",
        volumeUuid: uuid(2),
        end: sampleEnd("Succeeded", 1_000),
      }),
    ];
    expect(world.reasons((await world.look()).plan)?.slice(0, 2)).toEqual(["wait FailedBefore", "wait Cooldown"]);
    expect(world.notes).toEqual([
      ["pvc-2", { "storage.billyronks.io/last-migration": new Date(sampleNowMs - 1_000).toISOString() }],
    ]);
    expect(world.policy.status?.migrationHistory?.map(({ migration }) => migration)).toEqual(["bad", "good"]);
  });
});
