import { afterEach, describe, expect, test } from "bun:test";
import { TestBrain } from "../sim/test-brain.ts";
import { stripeViews, unrecoverableError } from "../volumes/views.ts";

let t: TestBrain;
afterEach(() => t.close());

const idle = (): boolean => {
  const { queued, running, waiting } = t.brain.repair.status();
  return queued + running + waiting.length === 0 && t.states("v1").every((s) => s === "Healthy");
};

describe("repair", () => {
  test("two of six nodes die: degraded at once, rebuilt after the wait onto the four left, one shard a pool and at most m a node", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 4);
    t.fleet.kill("n1");
    t.fleet.kill("n2");
    await t.until(() => t.states("v1").every((s) => s === "Degraded"), "degraded");
    expect(t.brain.repair.status().waiting.length).toBe(2);
    expect(t.brain.repair.status().running).toBe(0);
    await t.until(idle, "the rebuild");
    expect(await t.allReadable("v1")).toBe(true);
    for (const run of stripeViews(t.brain.services, "v1")) {
      expect(new Set(run.shards.map((s) => s.poolUuid)).size).toBe(6);
      const perNode = Map.groupBy(run.shards, (s) => s.nodeName);
      expect(Math.max(...[...perNode.values()].map((s) => s.length))).toBeLessThanOrEqual(2);
      expect(run.shards.every((s) => s.online)).toBe(true);
    }
    expect(t.brain.repair.status()).toMatchObject({ stripesDone: 16, stripesTotal: 16, blocked: [] });
  });

  test("beyond m losses nothing is invented: the runs and the pools they miss are named, and all is well when the nodes return", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    for (const name of ["n1", "n2", "n3"]) t.fleet.kill(name);
    await t.until(() => t.states("v1").every((s) => s === "Unrecoverable"), "unrecoverable");
    const { blocked } = t.brain.repair.status();
    expect(blocked[0]?.reason).toContain("stripes 0–3 can't be reconstructed; missing are n");
    const error = unrecoverableError(t.brain.services, t.brain.services.catalogue.volume("v1"));
    expect(error?.message).toContain("n1/p");
    for (const name of ["n1", "n2", "n3"]) t.fleet.restart(name);
    await t.until(idle, "recovery");
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("of very many runs that can't be read all are counted, and the reasons of the first told", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 300);
    for (const name of ["n1", "n2", "n3"]) t.fleet.kill(name);
    await t.until(() => t.brain.repair.counts().blocked === 300, "all are known");
    const { blocked, blockedTotal, queued } = t.brain.repair.status();
    expect([blocked.length, blockedTotal, queued]).toEqual([256, 300, 0]);
  }, 180_000);

  test("a failed pool counts at once; a pause holds until resume; a rebuild whose mover dies is tried again", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    const [location] = stripeViews(t.brain.services, "v1")[0]?.shards ?? [];
    const { pool } = t.fleet.pool(location?.poolUuid ?? "");
    await t.brain.repair.pause();
    pool.state = "Failed";
    await t.until(() => t.states("v1")[0] === "Degraded", "degraded");
    await t.pass(2000);
    expect(t.fleet.acts().length).toBe(0);
    await t.crash();
    await t.pass(2000);
    expect(t.brain.repair.status().paused).toBe(true);
    expect(t.fleet.acts().length).toBe(0);
    t.autoPerform = false;
    await t.brain.repair.resume();
    await t.until(() => t.fleet.acts().length === 1, "a rebuild act");
    const { node, task } = t.fleet.acts()[0] ?? {};
    if (!node || !task) throw new Error("no act");
    t.fleet.perform(node, task, 2);
    t.fleet.restart(node.name);
    t.autoPerform = true;
    await t.until(idle, "the rebuild");
    await t.brain.services.orders.settle();
    expect(await t.allReadable("v1")).toBe(true);
    expect(t.fleet.chunkCount() - pool.chunks.size).toBe(24);
  });

  test("no room: the run is blocked with the number of pools missing, and repaired once a node is added", async () => {
    t = await TestBrain.start({ nodes: 3 });
    await t.importVolume("v1", 1);
    t.fleet.kill("n3");
    await t.until(() => t.brain.repair.status().blocked.length > 0, "blocked");
    expect(t.brain.repair.status().blocked[0]?.reason).toMatch(/missing: \d pool/);
    t.fleet.addNode("n4", 2);
    await t.until(idle, "the rebuild");
    expect(await t.allReadable("v1")).toBe(true);
  });
});

describe("scrub", () => {
  test("absent and corrupt chunks are put again in their pool, confirmed by a second check, and the bad copies deleted by name", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    const pool = [...t.fleet.node("n1").pools.values()].find((p) => p.chunks.size > 0);
    const [bad] = pool?.chunks.keys() ?? [];
    pool?.corrupt.add(bad ?? "");
    const other = [...t.fleet.node("n2").pools.values()].find((p) => p.chunks.size > 0);
    const [gone] = other?.chunks.keys() ?? [];
    other?.chunks.delete(gone ?? "");
    const { id } = t.brain.scrubs.start({ volume: "v1", deep: false, repair: true });
    await t.until(() => t.brain.scrubs.report(id).state !== "Running", "the scrub");
    expect(t.brain.scrubs.report(id)).toMatchObject({ state: "Done", repaired: 2, unrepaired: 0, stripesChecked: 8 });
    await t.brain.services.orders.settle();
    expect(t.fleet.deletedNames).toContain(bad ?? "");
    expect(t.fleet.chunkCount()).toBe(48);
    expect(stripeViews(t.brain.services, "v1").reduce((sum, run) => sum + run.exceptions, 0)).toBe(2);
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("a scrub without repair only reports", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    const pool = [...t.fleet.node("n1").pools.values()].find((p) => p.chunks.size > 0);
    pool?.corrupt.add([...(pool.chunks.keys() ?? [])][0] ?? "");
    const { id } = t.brain.scrubs.start({ deep: true, repair: false });
    await t.until(() => t.brain.scrubs.report(id).state !== "Running", "the scrub");
    expect(t.brain.scrubs.report(id)).toMatchObject({ repaired: 0, unrepaired: 1 });
    expect(pool?.corrupt.size).toBe(1);
  });
});
