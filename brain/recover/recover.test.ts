import { afterEach, describe, expect, test } from "bun:test";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { lossesOf } from "../cli/stripe/losses.ts";
import { nameOf } from "../sim/fake-chunks.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { createVolume } from "../volumes/create.ts";
import { grantEncode } from "../volumes/encode.ts";
import { volumeMap } from "../volumes/maps.ts";
import { stripeViews } from "../volumes/views.ts";

let t: TestBrain;
afterEach(() => t.close());

/** The database is gone; agents and their disks are as they were. */
async function loseDatabase(): Promise<void> {
  await t.brain.stop();
  await t.store.close();
  for (const end of ["", "-wal", "-shm"]) await rm(join(t.directory, `db${end}`), { force: true });
  await t.open();
  await t.pass(1500);
}

async function recovered(request = { verify: true, dryRun: false }) {
  t.brain.recovery.start(request);
  await t.until(() => t.brain.recovery.report().state !== "Running", "the recovery");
  return t.brain.recovery.report();
}

describe("recovery from the disks alone", () => {
  test("without a database the brain stays unclaimed, creates nothing, and says what to do", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    const before = t.fleet.clusterUuid;
    await loseDatabase();
    expect(t.brain.services.cluster.state).toBe("unclaimed");
    expect(t.brain.readiness().checks["cluster"]).toContain("couchestor volume recover");
    await expect(t.create("v2", 1)).rejects.toThrow("couchestor volume recover");
    await t.pass(20_000);
    expect(t.fleet.clusterUuid).toBe(before);
    expect(t.brain.services.cluster.uuid).toBeUndefined();
  });

  test("m pools missing and a dead act's higher generation there: the committed version comes back, and new epochs are above every old one", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    await t.create("v2", 1);
    await t.importRun("v2", 0);
    await grantEncode(t.brain.services, "v2", { runIndex: 0 });
    const dead = t.encodeAct();
    t.fleet.perform(dead.node, dead.task, 3);
    t.fleet.kill("n5");
    t.fleet.kill("n6");
    const cluster = t.fleet.clusterUuid;
    await loseDatabase();
    const report = await recovered();
    expect(report).toMatchObject({ state: "Done", clusterUuid: cluster });
    expect(report.volumes.map((v) => [v.name, v.lostStripes.length, v.degradedStripes]).sort()).toEqual([
      ["v1", 0, 8],
      ["v2", 0, 4],
    ]);
    expect(report.volumes.find((v) => v.name === "v2")?.ignoredVersions).toBe(1);
    expect(t.fleet.clusterUuid === cluster && t.brain.services.cluster.uuid === cluster).toBe(true);
    for (const name of ["v1", "v2"]) expect(await t.allReadable(name)).toBe(true);
    const volume = await t.brain.services.catalogue.freshVolume("v2");
    expect(await t.brain.services.ownership.epochOf(volume)).toBeGreaterThan(dead.task.act.epoch);
    await t.until(
      () => t.states("v2").every((s) => s === "Healthy") && t.states("v1").every((s) => s === "Healthy"),
      "the rebuild",
    );
    expect(await t.allReadable("v1")).toBe(true);
    expect(t.brain.recovery.start).toThrow();
  });

  test("what can't be recovered reads as an error, never as zeros; a dry run writes nothing", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    for (const node of t.fleet.nodes.values()) {
      for (const pool of node.pools.values()) {
        for (const [name, info] of pool.chunks) if (info.stripe === 5 && info.shardIndex > 2) pool.corrupt.add(name);
        for (const [name, info] of pool.chunks) if (info.stripe === 6) pool.chunks.delete(name);
      }
    }
    await loseDatabase();
    const dry = await recovered({ verify: true, dryRun: true });
    expect(dry.volumes[0]?.lostStripes).toEqual([5, 6]);
    expect(t.brain.services.catalogue.volumes()).toEqual([]);
    const report = await recovered();
    expect(report.volumes[0]?.lostStripes).toEqual([5, 6]);
    const { volumeUuid } = t.brain.services.catalogue.volume("v1").spec;
    const map = await volumeMap(t.brain.services, volumeUuid, { firstStripe: 0, stripeCount: 8 });
    expect(map.runs.every((run) => run.generation > 0)).toBe(true);
    const lost = stripeViews(t.brain.services, "v1").filter((run) => run.state === "Unrecoverable");
    expect(lost.map((run) => [run.firstStripe, run.stripeCount])).toEqual([
      [5, 1],
      [6, 1],
    ]);
    expect(lossesOf("v1", lost).text).toContain(
      "2 stripes can't be reconstructed: 5–6. 4+2 needs 4 shards of each; 0 to 3",
    );
    expect(report.volumes[0]?.notes.join()).toContain("of 1 stripes there is no chunk");
  });

  test("a rebuild that died halfway: the newest copies are taken, one pool a shard, and garbage collection removes the rest", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    t.autoPerform = false;
    t.fleet.kill("n1");
    await t.until(() => t.fleet.acts().length === 1, "a rebuild act");
    const { node, task } = t.fleet.acts()[0] ?? {};
    if (!node || !task) throw new Error("no act");
    t.fleet.perform(node, task, 2);
    t.fleet.restart("n1");
    await loseDatabase();
    t.autoPerform = true;
    expect((await recovered()).volumes[0]).toMatchObject({ runs: 1, degradedStripes: 0, lostStripes: [] });
    expect(await t.allReadable("v1")).toBe(true);
    await t.crash();
    await t.brain.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(24);
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("what a recovery did not choose is not swept away: not other encodings, and not other copies while a node is away", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    await t.create("v2", 1);
    await t.importRun("v2", 0);
    await grantEncode(t.brain.services, "v2", { runIndex: 0 });
    const dead = t.encodeAct();
    t.fleet.perform(dead.node, dead.task, 3);
    const pool = [...t.fleet.node("n1").pools.values()].find((p) => p.chunks.size > 0);
    const [[, copy] = []] = pool?.chunks ?? [];
    if (!pool || !copy) throw new Error("no chunk");
    pool.chunks.set(nameOf({ ...copy, putAct: 900 }), { ...copy, putAct: 900 });
    await loseDatabase();
    await recovered();
    await t.crash();
    t.fleet.kill("n6");
    await t.pass(3000);
    const before = t.fleet.chunkCount();
    await t.brain.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(before);
    t.fleet.restart("n6");
    await t.pass(1000);
    await t.brain.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(before - 1);
    expect(t.fleet.chunkCount()).toBe(24 + 24 + 3);
  });

  test("a brain with volumes of its own refuses to recover over them", async () => {
    t = await TestBrain.start();
    await createVolume(t.brain.services, {
      name: "v1",
      sizeBytes: 4096,
      code: { family: "rs", k: 4, m: 2 },
      importing: false,
    });
    expect(() => t.brain.recovery.start({ verify: true, dryRun: false })).toThrow("has volumes (1)");
  });
});
