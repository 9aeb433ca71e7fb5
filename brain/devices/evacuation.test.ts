import { afterEach, describe, expect, test } from "bun:test";
import type { DeviceHealth } from "@couchestor/common/api/devices.ts";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { brainMetrics } from "../observe/metrics.ts";
import { conditionEvents, conditionsOf } from "../operator/condition-events.ts";
import type { FakePool } from "../sim/fake-fleet.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { stripeViews } from "../volumes/views.ts";

const failing: DeviceHealth = { state: "Failing", reasons: ["the medium has become read-only"] };
const healthy: DeviceHealth = { state: "Healthy", reasons: [] };
const unknown: DeviceHealth = { state: "Unknown", reasons: ["not looked at yet"] };

let t: TestBrain;
afterEach(() => t.close());

/** The pool that holds a shard of the first run, by its index. */
function poolOf(shardIndex: number): FakePool {
  const shard = stripeViews(t.brain.services, "v1")[0]?.shards.find((s) => s.shardIndex === shardIndex);
  return t.fleet.pool(shard?.poolUuid ?? "").pool;
}

const poolsUsed = (): Set<string> =>
  new Set(stripeViews(t.brain.services, "v1").flatMap(({ shards }) => shards.map((s) => s.poolUuid)));

async function conditionOf(nodeName: string) {
  await t.brain.services.inventory.flush();
  const node = await t.store.get(storageNodeKind, nodeName);
  return node?.status?.conditions?.find(({ type }) => type === "DevicesHealthy");
}

function setAll(health: DeviceHealth): void {
  for (const node of t.fleet.nodes.values()) for (const pool of node.pools.values()) pool.health = health;
}

describe("evacuation", () => {
  test("a pool on a failing device is emptied while every run stays healthy; the old copies go last; nothing new is put there", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 4);
    setAll(healthy);
    await t.pass(1000);
    const pool = poolOf(0);
    const { node } = t.fleet.pool(pool.poolUuid);
    expect(await conditionOf(node.name)).toMatchObject({ status: "True", reason: "DevicesHealthy" });
    pool.health = failing;
    const events: string[] = [];
    t.brain.services.inventory.onStored((after, before) =>
      events.push(...conditionEvents(conditionsOf(before), conditionsOf(after)).map((e) => `${e.type} ${e.reason}`)),
    );
    const states = new Set<string>();
    await t.until(() => {
      for (const state of t.states("v1")) states.add(state);
      return !poolsUsed().has(pool.poolUuid);
    }, "the evacuation");
    expect([...states].filter((state) => state !== "Healthy")).toEqual([]);
    await t.brain.services.orders.settle();
    await t.pass(500);
    expect(await t.allReadable("v1")).toBe(true);
    expect(pool.chunks.size).toBe(0);
    expect(t.fleet.chunkCount()).toBe(4 * 4 * 6);
    expect(await conditionOf(node.name)).toMatchObject({ status: "False", reason: "DeviceEmptied" });
    await t.create("v2", 4);
    for (let run = 0; run < 4; run++) await t.importRun("v2", run);
    expect(pool.chunks.size).toBe(0);
    pool.health = healthy;
    await t.until(async () => (await conditionOf(node.name))?.reason === "DevicesHealthy", "the condition");
    expect(events).toEqual(["Warning DeviceFailing", "Warning DeviceEmptied", "Normal DevicesHealthy"]);
  });

  test("the brake: too many failing at once move nothing, say why, and still take data; when it is lifted they are emptied", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    setAll(healthy);
    await t.pass(500);
    for (let shard = 0; shard < 3; shard++) poolOf(shard).health = failing;
    await t.pass(5000);
    const { evacuation } = t.brain;
    expect(evacuation.status().heldBack).toContain("3 of 12 pools");
    expect(evacuation.status().heldBack).toContain("all of them M1 with firmware F1");
    expect(evacuation.status()).toMatchObject({ running: 0, runsMoved: 0 });
    expect(t.brain.services.inventory.leaving.size).toBe(0);
    const { node } = t.fleet.pool(poolOf(0).poolUuid);
    expect(await conditionOf(node.name)).toMatchObject({ status: "False", reason: "EvacuationHeldBack" });
    const [first, ...others] = [0, 1, 2].map(poolOf);
    for (const pool of others) pool.health = healthy;
    await t.until(() => !poolsUsed().has(first?.poolUuid ?? ""), "the evacuation of the one that is left");
    expect(evacuation.status().heldBack).toBeUndefined();
  });

  test("a pool emptied long ago, whose device was never replaced, does not hold back the next one", async () => {
    t = await TestBrain.start({ brain: { evacuation: { failingShareMax: 0.2, togetherMs: 10_000 } } });
    await t.importVolume("v1", 2);
    const emptied: string[] = [];
    for (let failed = 0; failed < 3; failed++) {
      const pool = poolOf(0);
      pool.health = failing;
      emptied.push(pool.poolUuid);
      await t.until(() => !poolsUsed().has(pool.poolUuid), "the evacuation");
      await t.pass(11_000);
    }
    expect(t.brain.evacuation.status()).toMatchObject({ queued: 0, running: 0 });
    expect(t.brain.evacuation.evacuations().map(({ pool, phase }) => [pool.poolUuid, phase])).toEqual(
      expect.arrayContaining(emptied.map((uuid) => [uuid, "emptied"])),
    );
  });

  test("a bad firmware that reports all devices as failing does not stop imports", async () => {
    t = await TestBrain.start();
    setAll(failing);
    await t.pass(1000);
    await t.importVolume("v1", 2);
    expect(await t.allReadable("v1")).toBe(true);
    expect(t.brain.evacuation.status().runsMoved).toBe(0);
  });

  test("not to know a device's health any more is no reason to trust it again", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    const pool = poolOf(0);
    t.autoPerform = false;
    pool.health = failing;
    await t.pass(1500);
    pool.health = unknown;
    await t.pass(1500);
    expect(t.brain.evacuation.status().pools.map(({ poolUuid }) => poolUuid)).toEqual([pool.poolUuid]);
    pool.health = healthy;
    await t.pass(1500);
    expect(t.brain.evacuation.status().pools).toEqual([]);
  });

  test("what was lost is rebuilt first, and a shard is moved only when the others suffice without it", async () => {
    t = await TestBrain.start({ nodes: 8 });
    await t.importVolume("v1", 1);
    const [leaving, ...away] = [0, 1, 2].map((shard) => t.fleet.pool(poolOf(shard).poolUuid));
    if (!leaving) throw new Error("no pool");
    await t.brain.repair.pause();
    for (const { pool } of away) pool.state = "Failed";
    leaving.pool.health = failing;
    await t.pass(3000);
    expect(t.brain.evacuation.status().pools[0]).toMatchObject({ phase: "paused", runsLeft: 1 });
    await t.brain.repair.resume();
    await t.until(() => t.states("v1")[0] === "Healthy" && !poolsUsed().has(leaving.pool.poolUuid), "both");
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("never more shards of a run at once than can be decoded without them, though more are leaving", async () => {
    t = await TestBrain.start({ nodes: 8, brain: { evacuation: { failingShareMax: 1 } } });
    await t.importVolume("v1", 1);
    t.autoPerform = false;
    const leaving = [0, 1, 2, 3].map(poolOf);
    for (const pool of leaving) pool.health = failing;
    const moved: number[] = [];
    await t.until(async () => {
      for (const { task } of t.fleet.acts()) if (task.kind === "rebuild") moved.push(task.targets.length);
      await t.perform();
      return !leaving.some(({ poolUuid }) => poolsUsed().has(poolUuid));
    }, "the evacuation");
    expect(moved).toEqual([2, 2]);
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("repairs that are open take the places of those that move", async () => {
    t = await TestBrain.start({ nodes: 10 });
    await t.importVolume("v1", 6);
    t.autoPerform = false;
    const [lost, leaving] = [poolOf(0), poolOf(1)];
    lost.state = "Failed";
    leaving.health = failing;
    await t.until(() => t.brain.repair.status().running === 2, "repairs");
    await t.pass(1000);
    expect(t.brain.evacuation.status()).toMatchObject({ running: 0, pools: [{ phase: "emptying" }] });
    const kept = stripeViews(t.brain.services, "v1").filter(({ shards }) =>
      shards.every((s) => s.poolUuid !== lost.poolUuid),
    );
    expect(t.brain.evacuation.status().queued).toBeLessThanOrEqual(kept.length);
    t.autoPerform = true;
    await t.until(() => !poolsUsed().has(leaving.poolUuid) && !poolsUsed().has(lost.poolUuid), "both");
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("without room elsewhere it says so and goes on as soon as a node is added; a brain that is restarted goes on too", async () => {
    t = await TestBrain.start({ nodes: 3 });
    await t.importVolume("v1", 1);
    const pool = poolOf(0);
    pool.health = failing;
    await t.until(() => t.brain.evacuation.status().blocked.length > 0, "the first attempt");
    expect(t.brain.evacuation.status().pools[0]).toMatchObject({ phase: "emptying", runsLeft: 1 });
    await t.until(() => t.brain.evacuation.status().pools[0]?.phase === "blocked", "blocked");
    await t.crash();
    expect(await t.allReadable("v1")).toBe(true);
    t.fleet.addNode("n4", 2);
    await t.until(() => !poolsUsed().has(pool.poolUuid), "the evacuation");
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("a pool is not called empty while a run is held whose shards may be there; the others are moved, and it follows when it is put right", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    const pool = poolOf(0);
    const [first] = stripeViews(t.brain.services, "v1");
    const run = await t.store.get(ecStripeKind, first?.name ?? "");
    if (run === undefined) throw new Error("no run");
    const elsewhere = [...t.fleet.nodes.values()]
      .flatMap((node) => [...node.pools.values()])
      .find((p) => !poolsUsed().has(p.poolUuid));
    const moved = JSON.parse(JSON.stringify(run.spec).replaceAll(pool.poolUuid, elsewhere?.poolUuid ?? ""));
    await t.store.update(ecStripeKind, { ...run, spec: moved });
    await t.pass(1500);
    pool.health = failing;
    await t.pass(10_000);
    const { evacuation } = t.brain;
    expect(evacuation.status()).toMatchObject({ queued: 0, running: 0, pools: [{ phase: "blocked", runsLeft: 1 }] });
    expect(evacuation.status().blocked.map(({ stripe }) => stripe)).toEqual([run.metadata.name]);
    expect(evacuation.status().blocked[0]?.reason).toContain("by hand");
    expect(pool.chunks.size).toBeGreaterThan(0);
    const edited = await t.store.get(ecStripeKind, run.metadata.name);
    if (edited === undefined) throw new Error("no run");
    await t.store.update(ecStripeKind, { ...edited, spec: run.spec });
    await t.until(() => evacuation.evacuations()[0]?.phase === "emptied", "the evacuation");
    expect(poolsUsed().has(pool.poolUuid)).toBe(false);
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("of very many runs that can't be moved all are counted, and the reasons of the first told", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 300);
    // Changed by hand, each of them may have shards on the failing pool.
    for (const { name } of stripeViews(t.brain.services, "v1")) {
      const run = await t.store.get(ecStripeKind, name);
      if (run !== undefined) await t.store.update(ecStripeKind, { ...run, spec: { ...run.spec, encodeAct: 999 } });
    }
    poolOf(0).health = failing;
    await t.until(() => t.brain.evacuation.counts().blocked === 300, "all are known");
    const { blocked, blockedTotal } = t.brain.evacuation.status();
    expect([blocked.length, blockedTotal]).toEqual([256, 300]);
    expect(await brainMetrics(t.brain).metrics()).toMatch(
      /^couchestor_evacuation_runs\{(.*,)?state="blocked".*\} 300$/m,
    );
  }, 180_000);

  test("a mover that dies halfway leaves the old copies; the move is tried again", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    const pool = poolOf(0);
    t.autoPerform = false;
    pool.health = failing;
    await t.until(() => t.fleet.acts().length === 1, "an act");
    const { node, task } = t.fleet.acts()[0] ?? {};
    if (!node || !task) throw new Error("no act");
    t.fleet.perform(node, task, 2);
    expect(pool.chunks.size).toBe(4);
    t.fleet.restart(node.name);
    t.autoPerform = true;
    await t.until(() => !poolsUsed().has(pool.poolUuid), "the evacuation");
    await t.brain.services.orders.settle();
    await t.pass(500);
    expect(await t.allReadable("v1")).toBe(true);
    expect(t.fleet.chunkCount()).toBe(24);
  });
});
