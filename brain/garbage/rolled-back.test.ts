/** The database is put back to an older state, or a commit is still on its way to it: garbage collection must not take what only the newer state names. */
import { afterEach, describe, expect, test } from "bun:test";
import { copyFile, rm } from "node:fs/promises";
import { join } from "node:path";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { TestBrain } from "../sim/test-brain.ts";
import type { ResourceStore } from "../store/ports.ts";
import { grantEncode } from "../volumes/encode.ts";

let t: TestBrain;
afterEach(() => t.close());

const db = (end = "") => join(t.directory, `db${end}`);
const files = ["", "-wal", "-shm"];

async function stopped(work: () => Promise<unknown>, wrap?: (store: ResourceStore) => ResourceStore): Promise<void> {
  await t.brain.stop();
  await t.store.close();
  await work();
  await t.open(wrap);
  await t.pass(1500);
}

const backUp = () => stopped(() => copyFile(db(), db(".backup")));
const putBack = () =>
  stopped(async () => {
    for (const end of files) await rm(db(end), { force: true });
    await copyFile(db(".backup"), db());
  });

async function sweepTwice(): Promise<void> {
  for (let i = 0; i < 2; i++) {
    await t.brain.sweeper.sweepAll();
    await t.crash();
  }
}

async function epochOf(name: string): Promise<number> {
  return t.brain.services.ownership.epochOf(t.brain.services.catalogue.volume(name));
}

describe("a database put back to an older state", () => {
  test("that names columns deleted since: the rebuilt ones, which nobody names, stay, and owners go on above all epochs", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    await backUp();
    t.fleet.kill("n6");
    t.fleet.kill("n5");
    await t.until(() => t.brain.repair.status().stripesDone > 0 && t.brain.repair.status().queued === 0, "the rebuild");
    await t.until(() => t.states("v1").every((s) => s === "Healthy"), "health");
    const later = await epochOf("v1");
    for (const name of ["n5", "n6"]) {
      t.fleet.restart(name);
      for (const pool of t.fleet.node(name).pools.values()) pool.chunks.clear();
    }
    expect(t.fleet.chunkCount()).toBe(48);
    await putBack();
    expect(await t.allReadable("v1")).toBe(true);
    await sweepTwice();
    expect(t.fleet.chunkCount()).toBe(48);
    expect(await epochOf("v1")).toBeGreaterThan(later);
    const { id } = t.brain.scrubs.start({ volume: "v1", deep: false, repair: true });
    await t.until(() => t.brain.scrubs.report(id).state !== "Running", "the scrub");
    expect(t.brain.scrubs.report(id)).toMatchObject({ state: "Done", unrepaired: 0 });
    await t.crash();
    await t.brain.sweeper.sweepAll();
    expect(t.fleet.chunkCount()).toBe(48);
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("that names an encoding deleted since, or none: the newer one, which nobody names, stays", async () => {
    t = await TestBrain.start();
    await t.create("v1", 2);
    await t.importRun("v1", 0);
    await backUp();
    await t.importRun("v1", 0);
    await t.importRun("v1", 1);
    await t.brain.services.orders.settle();
    expect(t.fleet.chunkCount()).toBe(48);
    await putBack();
    await sweepTwice();
    expect(t.fleet.chunkCount()).toBe(48);
    await t.brain.sweeper.sweepAll();
    expect([...t.brain.sweeper.reports().values()].reduce((sum, r) => sum + r.unproven, 0)).toBe(48);
  });
});

test("a commit that reaches the store only after its chunks were swept away fails", async () => {
  t = await TestBrain.start();
  await t.create("v1", 1);
  await t.importRun("v1", 0);
  let inFlight: EcStripe | undefined;
  let silent = false;
  const late: { land?: () => Promise<unknown> } = {};
  await stopped(
    () => Promise.resolve(),
    (store) => {
      const update = store.update.bind(store);
      store.update = async (kind, object) => {
        if (!silent || kind.kind !== "ECStripe") return update(kind, object);
        inFlight ??= object as EcStripe;
        late.land ??= () => update(kind, object);
        throw new AppError("Timeout", "no answer");
      };
      return store;
    },
  );
  // By now the run is fenced at this brain's epoch.
  await t.importRun("v1", 0);
  await t.brain.services.orders.settle();
  await grantEncode(t.brain.services, "v1", { runIndex: 0 });
  const { node, task } = t.encodeAct();
  const done = t.fleet.perform(node, task);
  if (!done) throw new Error("died");
  silent = true;
  await expect(t.brain.services.acts.done(done)).rejects.toThrow("report the act again");
  t.fleet.restart(node.name);
  await t.pass(1000);
  silent = false;
  expect(t.fleet.chunkCount()).toBe(48);
  await t.brain.sweeper.sweepAll();
  expect(t.fleet.chunkCount()).toBe(24);
  expect(inFlight?.spec.generation).toBe(3);
  await expect(late.land?.() ?? Promise.resolve()).rejects.toThrow("v1-0000000000");
  expect(await t.allReadable("v1")).toBe(true);
});

test("an act of an epoch that its own brain has since gone above is not taken for garbage while it runs", async () => {
  t = await TestBrain.start();
  await t.create("v1", 1);
  await t.importRun("v1", 0);
  await grantEncode(t.brain.services, "v1", { runIndex: 0 });
  const { node, task } = t.encodeAct();
  const done = t.fleet.perform(node, task);
  node.acts.clear();
  if (!done) throw new Error("died");
  const { ownership, catalogue } = t.brain.services;
  await ownership.raiseAbove(catalogue.volume("v1"), task.act.epoch + 5);
  await t.brain.sweeper.sweepAll();
  expect(t.fleet.chunkCount()).toBe(48);
  expect((await t.brain.services.acts.done(done)).result).toBe("committed");
  expect(await t.allReadable("v1")).toBe(true);
});
