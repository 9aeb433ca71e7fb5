import { afterEach, beforeEach, expect, test } from "bun:test";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { WholeVolumes } from "./whole.ts";

const second = "v1-0000000004";
let t: TestBrain;
let whole: WholeVolumes;
beforeEach(async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 3);
  whole = new WholeVolumes(t.brain.services);
});
afterEach(() => t.close());

/** As somebody sees it who has not asked for a while. */
async function isWhole(): Promise<boolean | undefined> {
  await t.pass(1_050);
  return whole.isWhole("v1");
}

async function run() {
  const found = await t.store.get(ecStripeKind, second);
  if (found === undefined) throw new Error(`there is no ${second}`);
  return found;
}

test("a volume is whole while all its stripes have all their shards on pools that answer", async () => {
  expect([await isWhole(), whole.isWhole("v2")]).toEqual([true, undefined]);
  t.fleet.kill("n1");
  await t.until(() => whole.isWhole("v1") === false, "a node that is away to count", 10_000);
  t.fleet.restart("n1");
  await t.until(() => whole.isWhole("v1") === true, "its return to count", 10_000);
});

test("one of its ECStripes that is gone takes nothing away from the others' states, and yet the volume is not whole", async () => {
  const object = await run();
  await t.store.delete(ecStripeKind, second);
  expect(await isWhole()).toBe(false);
  const { resourceVersion: _, uid: __, creationTimestamp: ___, ...metadata } = object.metadata;
  await t.store.create(ecStripeKind, { ...object, metadata });
  expect(await isWhole()).toBe(true);
});

test("the last of its ECStripes counts as the first", async () => {
  await t.store.delete(ecStripeKind, "v1-0000000008");
  expect(await isWhole()).toBe(false);
});

test("one that was changed by hand can't be read: the volume is not whole, although the status still says Healthy", async () => {
  const object = await run();
  await t.store.update(ecStripeKind, { ...object, spec: { ...object.spec, encodeAct: object.spec.encodeAct + 1 } });
  expect(await isWhole()).toBe(false);
  expect((await run()).status?.state).toBe("Healthy");
});

test("after a start nothing is whole before its pools have been heard, whatever the statuses say", async () => {
  await t.brain.stop();
  await t.store.close();
  await t.open();
  whole = new WholeVolumes(t.brain.services);
  expect((await run()).status?.state).toBe("Healthy");
  expect(whole.isWhole("v1")).toBe(false);
  await t.until(() => whole.isWhole("v1") === true, "its pools to be heard", 10_000);
});

test("one that is being deleted is not whole, although all of its stripes are there yet", async () => {
  expect(await isWhole()).toBe(true);
  t.fleet.fault = (call) => (call === "deleteChunks" ? "unreachable" : undefined);
  const { catalogue } = t.brain.services;
  await catalogue.swapVolumeStatus("v1", ({ status }) => status && { ...status, phase: "Deleting" });
  expect(new WholeVolumes(t.brain.services).isWhole("v1")).toBe(false);
});
