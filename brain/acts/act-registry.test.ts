import { afterEach, describe, expect, test } from "bun:test";
import type { ActDone } from "@couchestor/common/api/acts.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { TestBrain } from "../sim/test-brain.ts";
import type { ResourceStore } from "../store/ports.ts";
import { grantEncode } from "../volumes/encode.ts";
import { stripeViews } from "../volumes/views.ts";

let t: TestBrain;
afterEach(() => t.close());

/** Opens the brain again on a store whose updates first do what `before` says. */
async function withUpdates(before: (write: () => Promise<unknown>) => Promise<void>): Promise<void> {
  await t.brain.stop();
  await t.store.close();
  await t.open((store: ResourceStore) => ({
    ...bound(store),
    update: async (kind, object) => {
      if (kind.kind === "ECStripe") await before(() => store.update(kind, object));
      return store.update(kind, object);
    },
  }));
  await t.pass(1500);
}

const bound = (store: ResourceStore): ResourceStore => ({
  get: (kind, name) => store.get(kind, name),
  list: (kind, prefix) => store.list(kind, prefix),
  pages: (kind, options) => store.pages(kind, options),
  create: (kind, object) => store.create(kind, object),
  update: (kind, object) => store.update(kind, object),
  updateStatus: (kind, object) => store.updateStatus(kind, object),
  delete: (kind, name, version) => store.delete(kind, name, version),
  watch: (kind, from, signal) => store.watch(kind, from, signal),
  close: () => store.close(),
});

async function encoded(): Promise<ActDone> {
  await grantEncode(t.brain.services, "v1", { runIndex: 0 });
  const { node, task } = t.encodeAct();
  const done = t.fleet.perform(node, task);
  node.acts.clear();
  if (!done) throw new Error("died");
  return done;
}

describe("a commit that the store refuses for good", () => {
  test("is answered dropped and its chunks are deleted, instead of being reported for ever", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    await withUpdates(() => Promise.reject(new AppError("TooLarge", "the object is too large")));
    expect(await t.brain.services.acts.done(await encoded())).toMatchObject({ result: "dropped" });
    await t.brain.services.orders.settle();
    expect(t.fleet.chunkCount()).toBe(0);
  });

  test("leaves the chunks alone when an earlier attempt may still reach the store", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    let calls = 0;
    await withUpdates(() =>
      Promise.reject(calls++ < 3 ? new AppError("Timeout", "no answer") : new AppError("TooLarge", "too large")),
    );
    const done = await encoded();
    await expect(t.brain.services.acts.done(done)).rejects.toThrow("report the act again");
    expect(await t.brain.services.acts.done(done)).toMatchObject({ result: "dropped" });
    await t.brain.services.orders.settle();
    expect(t.fleet.chunkCount()).toBe(24);
  });
});

test("an act that is committed before its mover's acceptance is known does not fail whoever began it", async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 1);
  t.autoPerform = false;
  const agents = t.fleet;
  const real = agents.startAct.bind(agents);
  agents.startAct = async (url, task) => {
    await real(url, task);
    const found = agents.acts()[0];
    const done = found && agents.perform(found.node, found.task);
    found?.node.acts.clear();
    if (done) await t.brain.services.acts.done(done);
    throw new AppError("Timeout", "no answer", { retryable: false });
  };
  t.fleet.kill("n1");
  await t.until(() => t.brain.repair.status().stripesDone === 4, "the rebuild");
  expect(t.brain.repair.status()).toMatchObject({ blocked: [], running: 0 });
  expect(await t.allReadable("v1")).toBe(true);
});

test("a report of an earlier process's act is judged by the runs that name it, not by reading all runs", async () => {
  t = await TestBrain.start();
  await t.create("v1", 3);
  const done = await encoded();
  expect((await t.brain.services.acts.done(done)).result).toBe("committed");
  let listed = 0;
  await t.brain.stop();
  await t.store.close();
  const counting =
    (store: ResourceStore): ResourceStore["list"] =>
    (kind, prefix) => {
      listed++;
      return store.list(kind, prefix);
    };
  await t.open((store) => ({ ...bound(store), list: counting(store) }));
  listed = 0;
  expect((await t.brain.services.acts.done(done)).result).toBe("committed");
  expect((await t.brain.services.acts.done({ ...done, act: { ...done.act, actNo: 77 } })).result).toBe("dropped");
  expect(listed).toBe(0);
});

describe("placement", () => {
  test("pools that take no chunk though they heartbeat are not chosen again for the run", async () => {
    t = await TestBrain.start();
    for (const name of ["n1", "n2", "n3"]) t.fleet.refusing.add([...t.fleet.node(name).pools.keys()][0] ?? "");
    await t.create("v1", 4);
    for (let run = 0; run < 4; run++) {
      let attempts = 1;
      while ((await t.importRun("v1", run)).result !== "committed") expect(attempts++).toBeLessThan(4);
    }
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("a failed pool is avoided only while there is room elsewhere", async () => {
    t = await TestBrain.start({ nodes: 3 });
    await t.create("v1", 1);
    const [pool] = [...t.fleet.node("n1").pools.keys()];
    t.fleet.refusing.add(pool ?? "");
    expect((await t.importRun("v1", 0)).result).toBe("dropped");
    t.fleet.refusing.clear();
    expect((await t.importRun("v1", 0)).result).toBe("committed");
  });

  test("counts what acts under way will put, so that grants between two heartbeats can't run a pool full", async () => {
    t = await TestBrain.start();
    // A column of four chunks of 16 KiB, each with a header of 8 KiB at most: one fits a pool.
    t.fleet.capacityBytes = 4 * 24_576 + 1000;
    await t.pass(1000);
    await t.create("v1", 3);
    await t.create("v2", 3);
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    await grantEncode(t.brain.services, "v1", { runIndex: 1 });
    const pools = t.fleet
      .acts()
      .flatMap(({ task }) => (task.kind === "encode" ? task.targets.map((x) => x.poolUuid) : []));
    expect(new Set(pools).size).toBe(12);
    await expect(grantEncode(t.brain.services, "v1", { runIndex: 2 })).rejects.toThrow("pool");
  });
});

test("a mover on which the last act of a run failed is not given the next one", async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 1);
  t.autoPerform = false;
  t.fleet.kill("n6");
  const movers: string[] = [];
  for (let i = 0; i < 3; i++) {
    await t.until(() => t.fleet.acts().length === 1, "a rebuild act");
    const { node, task } = t.fleet.acts()[0] ?? {};
    if (!node || !task) throw new Error("no act");
    movers.push(node.name);
    node.acts.clear();
    const done = t.fleet.perform(node, task);
    if (done) await t.brain.services.acts.done({ ...done, outcome: "failed" });
  }
  expect(new Set(movers).size).toBe(3);
  expect(stripeViews(t.brain.services, "v1")[0]?.state).toBe("Degraded");
});

test("a heartbeat that was under way when the mover accepted does not lose the act; a mover that no longer lists it does", async () => {
  t = await TestBrain.start();
  await t.create("v1", 1);
  await grantEncode(t.brain.services, "v1", { runIndex: 0 });
  const { node, task } = t.encodeAct();
  const without = { ...t.fleet.heartbeatOf(node), acts: [] };
  await t.clock.advance(10);
  t.brain.heartbeat(node.name, without);
  expect(t.brain.services.acts.isActive(task.act)).toBe(true);
  t.beat(node.name);
  t.brain.heartbeat(node.name, without);
  expect(t.brain.services.acts.isActive(task.act)).toBe(true);
  t.brain.heartbeat(node.name, without);
  expect(t.brain.services.acts.isActive(task.act)).toBe(false);
});
