/** Window, brake and rate by what a real store says: policies and Migrations with the times, generations and identities that it gave them. */
import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Migration, type MigrationOutcome, migrationKind } from "@couchestor/common/crd/migration.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import {
  type StoragePolicy,
  storagePolicyKind,
  storagePolicySpecSchema,
} from "@couchestor/common/crd/storage-policy.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { MayastorClient } from "../mayastor/client.ts";
import type { ResourceStore } from "../store/ports.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { MayastorSim } from "../testing/mayastor/at-rest.ts";
import { resumeAnnotation } from "./brake.ts";
import { knownMigration } from "./known-migrations.ts";
import { Launcher } from "./launcher.ts";
import { Tiering } from "./reconcile.ts";
import { sampleNowMs } from "./testing/decision-samples.ts";

const gib = 1024 ** 3;
const numbers = [1, 2, 3, 4];
const uuid = (n: number): string => `00000000-0000-4000-8000-00000000000${n}`;

let clock: FakeClock;
let dir: string;
let store: ResourceStore;
let sim: MayastorSim;
let launcher: Launcher;
beforeEach(async () => {
  // 2027-01-15T08:00:00Z
  clock = new FakeClock(sampleNowMs);
  dir = await mkdtemp(join(tmpdir(), "couchestor-limits-"));
  store = await openSqliteStore(join(dir, "db"), { clock, prng: seededPrng(3) });
  sim = new MayastorSim();
  for (const n of numbers) {
    for (const tier of ["hot", "cold"]) sim.addPool(`${tier}-${n}`, `node-${n}`, { tier });
    sim.addVolume(uuid(n), [`cold-${n}`]);
  }
  const deps = { clock, store, decided: () => undefined, noteReplicaCount: () => Promise.resolve() };
  launcher = new Launcher(deps, "30m");
});
afterEach(async () => {
  await sim[Symbol.asyncDispose]();
  await store.close();
  await rm(dir, { recursive: true });
});

async function apply(spec: object): Promise<void> {
  const selector = (tier: string) => ({ matchLabels: { tier } });
  const tiers = { hotPoolSelector: selector("hot"), coldPoolSelector: selector("cold"), warmWatermarkIOPS: 0 };
  const parsed = storagePolicySpecSchema.parse({ ...tiers, ...spec });
  await store.create(storagePolicyKind, { apiVersion, kind: "StoragePolicy", metadata: { name: "p" }, spec: parsed });
}

const policy = async () => must(await store.get(storagePolicyKind, "p"), "the policy");
const migrations = async () => (await store.list(migrationKind)).items as Migration[];

/** One look, by a brain whose caches are as the store is. Every volume is busy. */
async function look() {
  const [policies, known] = [(await store.list(storagePolicyKind)).items as StoragePolicy[], await migrations()];
  const of = () => ({ kind: "score", iops: 9_000, samples: 9, source: "a test", ageMs: 1 }) as const;
  const snapshot = async () => ({ of, volumes: 4, requests: 1, clockOffsetMs: 0, takenAtMs: clock.monotonicMs() });
  const volumes = numbers.map((n) => ({
    uuid: uuid(n),
    name: `pvc-${n}`,
    claim: { namespace: "default", name: `claim-${n}`, labels: {} },
    storageClassName: "mayastor",
    sizeBytes: gib,
    lastMigration: undefined,
  }));
  const deps = {
    clock,
    store,
    policies: () => policies,
    volumes: () => volumes,
    migrations: () => known.map(knownMigration),
    launcher,
    mayastor: new MayastorClient({ url: sim.url }),
    heat: { name: "a test", ping: () => Promise.resolve(), snapshot },
  };
  const { launched, plan } = await new Tiering(deps, {
    maxConcurrent: 4,
    dryRun: false,
    preservationMode: false,
  }).reconcile();
  return { launched, reasons: new Set(plan?.policies[0]?.entries.map(({ reason }) => reason)) };
}

/** Each Migration that is under way ends like this, as the mover writes it. */
async function endAll(outcome: MigrationOutcome): Promise<void> {
  for (const object of await migrations()) {
    if (object.status?.phase === "Finished") continue;
    const now = isoNow(clock);
    const status = { phase: "Finished" as const, steps: [], startTime: now, endTime: now, outcome };
    await store.updateStatus(migrationKind, { ...object, status });
  }
}

const allowed = async () => (await policy()).status?.conditions?.find(({ type }) => type === "MigrationsAllowed");

test("outside the window nothing begins and the policy says when, inside it does", async () => {
  await apply({ schedule: { cron: "0 9 * * *", duration: "1h", timeZone: "UTC" } });
  expect(await look()).toEqual({ launched: 0, reasons: new Set(["OutsideWindow"]) });
  expect(await allowed()).toMatchObject({ status: "False", message: expect.stringContaining("2027-01-15T09:00") });
  await clock.advance(3_600_000);
  expect((await look()).launched).toBe(2);
  expect([(await migrations()).length, (await allowed())?.status]).toEqual([2, "True"]);
});

test("failures in a row pause the policy, until somebody says otherwise or changes its spec", async () => {
  await apply({ pauseAfterFailures: 2 });
  expect((await look()).launched).toBe(2);
  await clock.advance(60_000);
  await endAll({ result: "Failed", reason: "RebuildStalled", message: "nothing moved" });
  expect(await look()).toEqual({ launched: 0, reasons: new Set(["FailedBefore", "Paused"]) });
  expect(await allowed()).toMatchObject({ status: "False", reason: "Paused" });
  expect((await policy()).status).toMatchObject({ totalMigrations: 2, failedMigrations: 2, activeMigrations: 0 });
  await clock.advance(1_000);
  const paused = await policy();
  const annotations = { [resumeAnnotation]: isoNow(clock) };
  await store.update(storagePolicyKind, { ...paused, metadata: { ...paused.metadata, annotations } });
  expect((await look()).launched).toBe(2);
  await clock.advance(60_000);
  await endAll({ result: "TimedOut", reason: "Timeout", message: "too long" });
  await clock.advance(700_000);
  expect((await look()).reasons).toEqual(new Set(["Paused"]));
  const again = await policy();
  await store.update(storagePolicyKind, { ...again, spec: { ...again.spec, pauseAfterFailures: 3 } });
  expect((await look()).launched).toBe(2);
});

test("the next begins when what has begun would be through at the rate, by the times that the store gave them", async () => {
  await apply({ maxBytesPerSecond: 1024 ** 2, maxConcurrentMigrations: 4 });
  expect((await look()).launched).toBe(1);
  await clock.advance(1_020_000);
  expect((await look()).launched).toBe(0);
  await clock.advance(5_000);
  expect((await look()).launched).toBe(1);
  // One that has copied nothing has used nothing of it.
  await endAll({ result: "Aborted", reason: "Aborted", message: "called off" });
  expect((await look()).launched).toBe(1);
  expect(new Set((await migrations()).map(({ spec }) => spec.volumeName)).size).toBe(3);
});
