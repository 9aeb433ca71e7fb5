/** The brain dies at every write to its store, before and after it was made, in import, rebuild and deletion; the next one goes on from what is there. */
import { describe, expect, setDefaultTimeout, test } from "bun:test";
import type { ResourceStore } from "../store/ports.ts";
import { completeImport } from "../volumes/complete.ts";
import { stripeViews } from "../volumes/views.ts";
import { type CrashPoint, crashingStore } from "./crash-store.ts";
import { TestBrain } from "./test-brain.ts";

// Seconds on an idle machine, and several times that on a busy one.
setDefaultTimeout(60_000);

const slowMachineMs = 120_000;

/** Reopens the brain on a store that dies at write `n`. */
async function arm(t: TestBrain, n: number, written: boolean): Promise<CrashPoint> {
  const point = { writesLeft: Number.POSITIVE_INFINITY, written, crashed: false };
  await t.brain.stop();
  await t.store.close();
  await t.open((store: ResourceStore) => crashingStore(store, point));
  await t.pass(1500);
  point.writesLeft = n;
  return point;
}

/** Runs `work` until it ends or the store dies; whatever it throws is the dead brain's. */
async function untilCrash(work: () => Promise<unknown>): Promise<void> {
  await work().catch(() => undefined);
}

async function everyPoint(run: (t: TestBrain, n: number, written: boolean) => Promise<boolean>): Promise<number> {
  let points = 0;
  for (const written of [false, true]) {
    for (let n = 0; n < 100; n++) {
      const t = await TestBrain.start();
      try {
        if (!(await run(t, n, written))) break;
        points++;
      } finally {
        await t.close();
      }
    }
  }
  return points;
}

describe("a brain that dies at any write", () => {
  test(
    "during import loses nothing committed, and the import goes on",
    async () => {
      const points = await everyPoint(async (t, n, written) => {
        const point = await arm(t, n, written);
        const acknowledged: number[] = [];
        await untilCrash(async () => {
          await t.create("v1", 2);
          for (const run of [0, 1]) if ((await t.importRun("v1", run)).result === "committed") acknowledged.push(run);
          await completeImport(t.brain.services, "v1", "cd".repeat(32));
        });
        const { crashed } = point;
        await t.crash();
        for (const run of acknowledged) {
          const object = await t.brain.services.catalogue.freshRun(`v1-${String(run * 4).padStart(10, "0")}`);
          expect(object?.spec.generation).toBeGreaterThan(0);
        }
        const there = t.brain.services.catalogue.volumes().length > 0;
        if (!there) await t.create("v1", 2);
        if (t.brain.services.catalogue.volume("v1").status?.phase === "Importing") {
          for (const run of [0, 1]) await t.importRun("v1", run);
          await completeImport(t.brain.services, "v1", "cd".repeat(32));
        }
        await t.brain.services.orders.settle();
        await t.crash();
        await t.brain.sweeper.sweepAll();
        expect(await t.allReadable("v1")).toBe(true);
        expect(t.fleet.chunkCount()).toBe(48);
        expect(heldRuns(t)).toEqual([]);
        return crashed;
      });
      expect(points).toBeGreaterThan(10);
    },
    slowMachineMs,
  );

  test(
    "during rebuild keeps every stripe readable, and the rebuild is finished",
    async () => {
      const points = await everyPoint(async (t, n, written) => {
        await t.importVolume("v1", 2);
        const point = await arm(t, n, written);
        t.fleet.kill("n6");
        await untilCrash(() => t.until(() => point.crashed || rebuilt(t, "n6"), "repair or crash", 15_000));
        const { crashed } = point;
        expect(await untilReadable(t)).toBe(true);
        await t.crash();
        await t.until(() => rebuilt(t, "n6"), "the rebuild");
        await t.brain.services.orders.settle();
        await t.crash();
        await t.brain.sweeper.sweepAll();
        const alive = [...t.fleet.nodes.values()].filter((node) => node.alive);
        const chunks = alive.reduce(
          (sum, node) => sum + [...node.pools.values()].reduce((s, p) => s + p.chunks.size, 0),
          0,
        );
        expect(await t.allReadable("v1")).toBe(true);
        expect(chunks).toBe(48);
        expect(heldRuns(t)).toEqual([]);
        return crashed;
      });
      expect(points).toBeGreaterThan(4);
    },
    slowMachineMs,
  );

  test(
    "during deletion deletes all the same, chunks of dead acts and of a pool that was away too",
    async () => {
      const points = await everyPoint(async (t, n, written) => {
        await t.importVolume("v1", 2);
        const point = await arm(t, n, written);
        t.fleet.kill("n1");
        await t.pass(2500);
        point.writesLeft = n;
        point.crashed = false;
        await untilCrash(async () => {
          await t.brain.deleter.request("v1");
          await t.brain.deleter.settle();
        });
        const { crashed } = point;
        await t.crash();
        if (t.brain.services.catalogue.volumes().length > 0) await t.brain.deleter.request("v1");
        await t.until(() => t.brain.services.catalogue.volumes().length === 0, "the volume to go");
        t.fleet.restart("n1");
        await t.pass(1000);
        await t.brain.sweeper.sweepAll();
        expect(t.fleet.chunkCount()).toBe(0);
        expect(t.brain.tombstones.count).toBe(0);
        return crashed;
      });
      expect(points).toBeGreaterThan(6);
    },
    slowMachineMs,
  );
});

/** Every run is Healthy, and none has a shard on that node. */
function rebuilt(t: TestBrain, gone: string): boolean {
  const runs = stripeViews(t.brain.services, "v1");
  return runs.every((run) => run.state === "Healthy" && run.shards.every((shard) => shard.nodeName !== gone));
}

/** Runs that were taken for changed by hand, which nobody does here. */
function heldRuns(t: TestBrain): string[] {
  return [...t.brain.services.catalogue.runs.all()].flatMap(({ name, held }) =>
    held === undefined ? [] : [`${name}: ${held}`],
  );
}

/** Read from a fresh store: the dead brain's own can't answer. */
async function untilReadable(t: TestBrain): Promise<boolean> {
  await t.crash();
  return t.allReadable("v1");
}
