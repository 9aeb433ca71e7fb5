import { afterEach, describe, expect, test } from "bun:test";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { completeImport } from "./complete.ts";
import { grantEncode } from "./encode.ts";
import { volumeMap } from "./maps.ts";
import { volumeView } from "./views.ts";

let t: TestBrain;
afterEach(() => t.close());

async function code(work: Promise<unknown> | (() => unknown)): Promise<string> {
  try {
    await (typeof work === "function" ? work() : work);
    return "none";
  } catch (error) {
    return isAppError(error) ? error.code : String(error);
  }
}

describe("import", () => {
  test("a volume is created, its runs committed, and opened for readers with a whole map", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 3);
    const volume = t.brain.services.catalogue.volume("v1");
    expect(volumeView(t.brain.services, volume)).toMatchObject({
      phase: "Ready",
      health: "Healthy",
      runs: { total: 3, written: 3 },
    });
    expect(await t.allReadable("v1")).toBe(true);
    const map = await volumeMap(t.brain.services, volume.spec.volumeUuid, { firstStripe: 2, stripeCount: 4 });
    expect(map.runs.map((r) => r.firstStripe)).toEqual([0, 4]);
    expect(new Set(map.runs[0]?.shardLocations.map((l) => l.nodeName)).size).toBe(6);
  });

  test("creation refuses bad sizes, a taken name and too few pools, and says what is allowed", async () => {
    t = await TestBrain.start({ nodes: 3 });
    const base = { name: "v", sizeBytes: 1 << 20, code: { family: "rs", k: 4, m: 2 } as const, importing: true };
    const { createVolume } = await import("./create.ts");
    expect(await code(createVolume(t.brain.services, { ...base, stripeSizeBytes: 5000 }))).toBe("InvalidArgument");
    expect(await code(createVolume(t.brain.services, { ...base, code: { family: "rs", k: 10, m: 4 } }))).toBe(
      "FailedPrecondition",
    );
    await createVolume(t.brain.services, base);
    expect(await code(createVolume(t.brain.services, base))).toBe("AlreadyExists");
  });

  test("the same report again is answered committed, and a report of another instance is not believed", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    const { node, task } = t.encodeAct();
    const done = t.fleet.perform(node, task);
    if (!done) throw new Error("died");
    const strange = await t.brain.services.acts.done({ ...done, instanceUuid: t.fleet.prng.uuid() });
    expect(strange.result).toBe("dropped");
    expect(
      (await Promise.all([t.brain.services.acts.done(done), t.brain.services.acts.done(done)])).map((a) => a.result),
    ).toEqual(["committed", "committed"]);
    expect((await t.brain.services.acts.done(done)).result).toBe("committed");
    await t.crash();
    expect((await t.brain.services.acts.done(done)).result).toBe("committed");
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("bytes that are committed need not be sent again; other bytes get the next generation and the old chunks go", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    await t.importRun("v1", 0);
    expect((await grantEncode(t.brain.services, "v1", { runIndex: 0, contentSha256: "ab".repeat(32) })).state).toBe(
      "committed",
    );
    await t.importRun("v1", 0);
    await t.brain.services.orders.settle();
    expect(t.fleet.chunkCount()).toBe(24);
    expect(await t.allReadable("v1")).toBe(true);
    expect((await t.brain.services.catalogue.freshRun("v1-0000000000"))?.spec.generation).toBe(2);
  });

  test("a mover that puts too few chunks, dies, or restarts leaves nothing committed and nothing behind", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    const first = t.encodeAct();
    const done = t.fleet.perform(first.node, first.task);
    if (!done) throw new Error("died");
    first.node.acts.clear();
    const lied = { ...done, counts: { ...done.counts, chunksPut: done.counts.chunksPut - 1 } };
    expect((await t.brain.services.acts.done(lied)).result).toBe("dropped");
    expect((await t.brain.services.acts.done(done)).result).toBe("dropped");
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    const second = t.encodeAct();
    t.fleet.perform(second.node, second.task, 10);
    t.fleet.restart(second.node.name);
    await t.until(() => t.fleet.chunkCount() === 0, "the dead act's chunks to go");
    expect((await t.brain.services.catalogue.freshRun("v1-0000000000"))?.spec.generation).toBe(0);
    expect(await code(completeImport(t.brain.services, "v1", "cd".repeat(32)))).toBe("FailedPrecondition");
  });

  test("runs that cover the same stripes make up for none that is missing", async () => {
    t = await TestBrain.start();
    await t.create("v1", 2);
    await t.importRun("v1", 0);
    const run = await t.brain.services.catalogue.freshRun("v1-0000000000");
    if (run === undefined) throw new Error("there is no run");
    await t.store.create(ecStripeKind, { ...run, metadata: { name: "v1-0000000099" } });
    expect(await code(completeImport(t.brain.services, "v1", "cd".repeat(32)))).toBe("FailedPrecondition");
    await t.importRun("v1", 1);
    await completeImport(t.brain.services, "v1", "cd".repeat(32));
  });

  test("a grant whose answer was lost is handed over again and the act is not doubled", async () => {
    t = await TestBrain.start();
    await t.create("v1", 1);
    let lost = 0;
    t.fleet.fault = (call) => (call === "startAct" && lost++ === 0 ? "answer-lost" : undefined);
    expect((await t.importRun("v1", 0)).result).toBe("committed");
    expect(lost).toBe(2);
  });

  test("the brain may stop between any two steps of an import: nothing committed is lost and garbage goes", async () => {
    t = await TestBrain.start();
    await t.create("v1", 2);
    await t.importRun("v1", 0);
    await t.crash();
    await grantEncode(t.brain.services, "v1", { runIndex: 1 });
    const { node, task } = t.encodeAct();
    await t.crash();
    const done = t.fleet.perform(node, task);
    node.acts.clear();
    if (!done) throw new Error("died");
    expect((await t.brain.services.acts.done(done)).result).toBe("dropped");
    await t.importRun("v1", 1);
    await t.crash();
    await completeImport(t.brain.services, "v1", "cd".repeat(32));
    expect(t.fleet.chunkCount()).toBe(72);
    await t.brain.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(48);
    expect(await t.allReadable("v1")).toBe(true);
  });
});
