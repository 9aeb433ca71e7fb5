import { afterEach, describe, expect, test } from "bun:test";
import { TestBrain } from "../sim/test-brain.ts";
import { grantEncode } from "../volumes/encode.ts";

let t: TestBrain;
afterEach(() => t.close());

describe("garbage collection", () => {
  test("a stale brain's late commit fails after another brain fenced the run, and its chunks are garbage", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 1);
    await t.create("v2", 1);
    await t.importRun("v2", 0);
    await grantEncode(t.brain.services, "v2", { runIndex: 0 });
    const { node, task } = t.encodeAct();
    const done = t.fleet.perform(node, task);
    if (!done) throw new Error("died");
    const stale = t.brain;
    const second = t.newBrain(t.store);
    await second.start();
    t.brain = second;
    await t.pass(1500);
    await second.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(48);
    expect((await stale.services.acts.done(done)).result).toBe("dropped");
    expect(
      (await t.store.get((await import("@couchestor/common/crd/ec-stripe.ts")).ecStripeKind, "v2-0000000000"))?.spec
        .generation,
    ).toBe(1);
    expect(await t.allReadable("v1")).toBe(true);
    expect(stale.readiness().ready).toBe(false);
    await expect(grantEncode(stale.services, "v2", { runIndex: 0 })).rejects.toThrow("another brain took it");
    await stale.stop();
  });

  test("a stale brain that commits before the fence keeps its chunks, whatever the other one swept", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    const { node, task } = t.encodeAct();
    const done = t.fleet.perform(node, task);
    if (!done) throw new Error("died");
    const stale = t.brain;
    const second = t.newBrain(t.store);
    await second.start();
    t.brain = second;
    await t.pass(1500);
    expect((await stale.services.acts.done(done)).result).toBe("committed");
    await second.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(24);
    expect(await t.allReadable("v1")).toBe(true);
    await stale.stop();
  });

  test("chunks of an act under way are left, those of unknown volumes are counted and left", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    const { node, task } = t.encodeAct();
    t.fleet.perform(node, task);
    const pool = [...t.fleet.node("n1").pools.values()][0];
    const any = [...t.fleet.nodes.values()]
      .flatMap((n) => [...n.pools.values()])
      .flatMap((p) => [...p.chunks.values()])[0];
    if (!any || !pool) throw new Error("no chunk");
    pool.chunks.set("foreign", { ...any, volumeUuid: t.fleet.prng.uuid() });
    await t.brain.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(25);
    expect([...t.brain.sweeper.reports().values()].reduce((sum, r) => sum + r.foreign, 0)).toBe(1);
    expect([...t.brain.sweeper.reports().values()].reduce((sum, r) => sum + r.left, 0)).toBe(24);
  });
});
