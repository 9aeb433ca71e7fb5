import { expect, setDefaultTimeout, test } from "bun:test";
import { type Migration, migrationKind } from "@couchestor/common/crd/migration.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { MayastorClient } from "../mayastor/client.ts";
import { silentLog } from "../ports.ts";
import type { Source } from "../runtime/controller.ts";
import { migrationController } from "./controller.ts";
import { Migrations } from "./migrations.ts";
import { type MigrationDeps, type MigrationMetrics, type MigrationNews, migrationFinalizer } from "./ports.ts";
import type { World } from "./sim/world.ts";
import { Lab } from "./testing/lab.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(30_000);

type Handler = Parameters<Source<Migration>["addHandler"]>[0];

/** A brain's part over a simulated world: the controller, and what it told. */
function brainIn({ world }: Lab, more: Partial<MigrationDeps> = {}) {
  const news: MigrationNews[] = [];
  const ends: Parameters<MigrationMetrics["ended"]>[0][] = [];
  const calls = new Map<string, number>();
  const { clock, store } = world;
  const prng = seededPrng(5);
  const deps: MigrationDeps = {
    store,
    mayastor: new MayastorClient({ transport: world.plane.transport() }),
    clock,
    prng,
    log: silentLog,
    leadership: { assertLeader: () => undefined },
    ecHealth: () => Promise.reject(new AppError("Unavailable", "nobody knows")),
    tell: (told) => news.push(told),
    metrics: {
      ended: (end) => ends.push(end),
      called: ({ kind, outcome }) => calls.set(`${kind} ${outcome}`, (calls.get(`${kind} ${outcome}`) ?? 0) + 1),
    },
    ...more,
  };
  const source = informerOf(world);
  const controller = migrationController({ clock, prng, logger: silentLogger() }, new Migrations(deps), source);
  controller.start();
  return { news, ends, calls, controller, source };
}

function informerOf(world: World): Source<Migration> & { tell(name: string): void } {
  const handlers: Handler[] = [];
  return {
    whenSynced: Promise.resolve(),
    values: () => world.names.flatMap((name) => world.migration(name) ?? []),
    addHandler: (handler) => void handlers.push(handler),
    tell: (name) => {
      const object = world.migration(name);
      if (object !== undefined) for (const handler of handlers) handler.added?.(object);
    },
  };
}

const cluster = () => new Lab().pools("hot", [1, 2]).pools("cold", [3, 4]);

async function pass(lab: Lab, seconds: number): Promise<void> {
  for (let i = 0; i < seconds; i++) {
    await lab.world.clock.pass(1_000);
    lab.world.plane.catchUp();
  }
}

test("a Migration that appears is carried out to its end, told of, counted, and let go of", async () => {
  const lab = cluster();
  const volume = lab.volume(["hot-1"]);
  const brain = brainIn(lab);
  await lab.world.migrate("move", { ...lab.spec(volume, "hot", "cold"), policyRef: "gold" });
  brain.source.tell("move");
  await pass(lab, 400);
  expect(lab.object()?.status).toMatchObject({ phase: "Finished", outcome: { result: "Succeeded" } });
  expect(lab.object()?.metadata.finalizers ?? []).not.toContain(migrationFinalizer);
  expect(brain.news.map(({ reason, policyRef }) => `${reason} ${policyRef}`)).toEqual([
    "MigrationStarted gold",
    "MigrationSucceeded gold",
  ]);
  expect(brain.ends).toMatchObject([{ result: "Succeeded", reason: "Moved", bytes: lab.status().bytesTotal ?? -1 }]);
  expect(Object.fromEntries(brain.calls)).toMatchObject({ "SetReplicaCount done": 2, "SetNodeCordon done": 1 });
  await brain.controller.stop();
  expect(lab.violations).toEqual([]);
});

test("who does not lead any more writes nothing and changes nothing", async () => {
  for (const checks of [0, 1, 3, 6]) {
    const lab = cluster();
    const volume = lab.volume(["hot-1"]);
    let left = checks;
    let refused = 0;
    const leadership = {
      assertLeader: () => {
        if (left-- > 0) return;
        refused += 1;
        throw new AppError("FailedPrecondition", "not the leader any more");
      },
    };
    const brain = brainIn(lab, { leadership });
    await lab.world.migrate("move", lab.spec(volume, "hot", "cold"));
    const writesBefore = lab.world.store.writes;
    brain.source.tell("move");
    await pass(lab, 120);
    await brain.controller.stop();
    expect(refused).toBeGreaterThan(0);
    expect(lab.world.store.writes - writesBefore + lab.world.plane.writes).toBeLessThanOrEqual(checks);
  }
});

test("a Migration of an ECVolume is none of its business", async () => {
  const lab = cluster();
  const volume = lab.volume(["hot-1"]);
  const brain = brainIn(lab);
  await lab.world.migrate("move", { ...lab.spec(volume, "hot", "cold"), mover: "ECVolume" });
  brain.source.tell("move");
  await pass(lab, 60);
  await brain.controller.stop();
  expect([lab.object()?.status, lab.world.plane.calls]).toEqual([undefined, 0]);
});

test("while the control plane can't be read it says so, holds on, and goes on afterwards", async () => {
  const lab = cluster();
  const volume = lab.volume(["hot-1"]);
  const brain = brainIn(lab);
  lab.world.cluster.coreDownUntilMs = lab.world.cluster.nowMs + 120_000;
  await lab.world.migrate("move", lab.spec(volume, "hot", "cold"));
  brain.source.tell("move");
  await pass(lab, 60);
  expect(lab.status()).toMatchObject({ phase: "Pending", steps: [] });
  expect(lab.status().message).toContain("the control plane can't be read: Mayastor:");
  await pass(lab, 500);
  await brain.controller.stop();
  expect(lab.status().outcome?.result).toBe("Succeeded");
});

test("what was never begun is called off although the control plane can't be read; what was begun waits for it", async () => {
  for (const begun of [false, true]) {
    const lab = cluster();
    const volume = lab.volume(["hot-1"]);
    const brain = brainIn(lab);
    const down = () => {
      lab.world.cluster.coreDownUntilMs = lab.world.cluster.nowMs + 100_000;
    };
    if (!begun) down();
    await lab.world.migrate("move", lab.spec(volume, "hot", "cold"));
    brain.source.tell("move");
    await pass(lab, begun ? 20 : 5);
    if (begun) down();
    expect(lab.status().phase).toBe(begun ? "Preparing" : "Pending");
    await lab.abort();
    brain.source.tell("move");
    await pass(lab, 10);
    expect(lab.status().phase === "Finished").toBe(!begun);
    await pass(lab, 600);
    await brain.controller.stop();
    expect(lab.status().outcome?.result).toBe("Aborted");
    expect(lab.object()?.metadata.finalizers ?? []).not.toContain(migrationFinalizer);
    expect([lab.where(volume), lab.cordons, lab.violations]).toEqual([["hot-1"], [], []]);
  }
});

test("a Migration that can't be read holds up nobody else", async () => {
  const lab = cluster();
  const volume = lab.volume(["hot-1"]);
  const { store } = lab.world;
  const told: unknown[] = [];
  const unreadable: MigrationDeps["store"] = {
    get: (kind, name) => store.get(kind, name),
    update: (kind, object) => store.update(kind, object),
    updateStatus: (kind, object) => store.updateStatus(kind, object),
    pages: (kind, options) => {
      if (options?.unreadable === undefined) throw new AppError("Internal", "Migration other: spec: what is that?");
      options.unreadable("other", new AppError("Internal", "Migration other: spec: what is that?"));
      return store.pages(kind, options);
    },
  };
  const log = { ...silentLog, error: (fields: object) => void told.push(fields) };
  const brain = brainIn(lab, { store: unreadable, log });
  await lab.world.migrate("move", lab.spec(volume, "hot", "cold"));
  brain.source.tell("move");
  await pass(lab, 400);
  await brain.controller.stop();
  expect(lab.status().outcome?.result).toBe("Succeeded");
  expect(told).toEqual([{ migration: "other", error: "Migration other: spec: what is that?" }]);
});

test("a person's change of the object in between costs a turn and nothing else", async () => {
  const lab = cluster();
  const volume = lab.volume(["hot-1"]);
  const brain = brainIn(lab);
  await lab.world.migrate("move", lab.spec(volume, "hot", "cold"));
  brain.source.tell("move");
  for (let i = 0; i < 60; i++) {
    const object = lab.object();
    if (object !== undefined) {
      const metadata = { ...object.metadata, annotations: { seen: String(i) } };
      await lab.world.store.update(migrationKind, { ...object, metadata });
    }
    await pass(lab, 7);
  }
  await brain.controller.stop();
  expect(lab.status().outcome?.result).toBe("Succeeded");
  expect(lab.violations).toEqual([]);
});
