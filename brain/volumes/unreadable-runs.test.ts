/** Runs that can't be read though all of their shards are there: held, or gone. They are never shown as healthy, and never as checked. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import type { ScrubReport, VolumeView } from "@couchestor/common/api/admin.ts";
import { type EcStripe, ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { TestBrain, testOptions } from "../sim/test-brain.ts";
import { gapsBetween } from "./gaps.ts";
import { stripeViews, volumeView } from "./views.ts";

const runName = "v1-0000000000";
let t: TestBrain;
beforeEach(async () => {
  const scrub = { ...testOptions.scrub, everyMs: 600_000, lookEveryMs: 1_000 };
  t = await TestBrain.start({ brain: { scrub } });
  await t.importVolume("v1", 2);
});
afterEach(() => t.close());

const view = (): VolumeView => volumeView(t.brain.services, t.brain.services.catalogue.volume("v1"));

async function stored(): Promise<EcStripe> {
  const run = await t.store.get(ecStripeKind, runName);
  if (run === undefined) throw new Error(`there is no ${runName}`);
  return run;
}

/** As kubectl does, past the brain: another act is named for shard 0, under the same version. */
async function edit(): Promise<void> {
  const run = await stored();
  const spec = structuredClone(run.spec);
  const location = spec.placements[0]?.shardLocations[0];
  if (location === undefined) throw new Error("it has no shards");
  location.putAct += 7;
  await t.store.update(ecStripeKind, { ...run, spec });
  await t.pass(1_500);
}

async function scrubbed(): Promise<ScrubReport> {
  const { id } = t.brain.scrubs.start({ volume: "v1", deep: false, repair: false });
  await t.until(() => t.brain.scrubs.report(id).state !== "Running", "the scrub's end");
  return t.brain.scrubs.report(id);
}

describe("a run that is held", () => {
  test("is shown as Held with why and what to do, and so is its volume", async () => {
    expect(view()).toMatchObject({ health: "Healthy", runs: { total: 2, healthy: 2, held: 0, absent: 0 } });
    await edit();
    expect(view()).toMatchObject({ health: "Held", runs: { total: 2, written: 2, healthy: 1, held: 1, absent: 0 } });
    const [held, sound] = stripeViews(t.brain.services, "v1");
    expect(held).toMatchObject({ name: runName, state: "Held" });
    expect(held?.held).toMatch(/elsewhere than it said, by hand\. .*Put its spec back.*kubectl annotate ecstripe/);
    expect([sound?.state, sound?.held]).toEqual(["Healthy", undefined]);
  });

  test("is left out by a scrub, which says so and checks the others", async () => {
    await edit();
    const report = await scrubbed();
    expect(report).toMatchObject({ state: "Failed", stripesTotal: 8, stripesChecked: 4, findings: [] });
    expect(report.error).toContain(`not checked, 1 in all: ${runName}: ${runName} is held`);
  });

  test("does not keep the background scrub from the other runs", async () => {
    await t.until(() => t.brain.scrubs.totals.stripes === 8, "the first scrubs");
    await edit();
    await t.pass(620_000);
    await t.until(() => t.brain.scrubs.totals.stripes >= 12, "the scrub of the other run", 60_000);
  });
});

describe("a run whose ECStripe was deleted", () => {
  beforeEach(async () => {
    await t.store.delete(ecStripeKind, runName);
    await t.pass(1_500);
  });

  test("makes its volume Incomplete, and is not taken for one that was never written", () => {
    expect(view()).toMatchObject({
      health: "Incomplete",
      runs: { total: 2, written: 1, healthy: 1, absent: 1 },
      uncovered: { stripes: 4, ranges: [{ firstStripe: 0, stripeCount: 4 }] },
    });
  });

  test("is named by a scrub as not checked", async () => {
    const report = await scrubbed();
    expect(report.state).toBe("Failed");
    expect(report.error).toContain("volume v1: no run covers 4 of its stripes, from stripe 0 on");
  });
});

test("a volume that is being made lacks nothing yet", async () => {
  const { catalogue } = t.brain.services;
  const volume = catalogue.volume("v1");
  await t.store.delete(ecStripeKind, runName);
  await t.pass(1_500);
  if (volume.status === undefined) throw new Error("there is no status");
  for (const phase of ["Empty", "Deleting"] as const) {
    expect(volumeView(t.brain.services, { ...volume, status: { ...volume.status, phase } }).health).toBe("Healthy");
  }
});

test("gaps are found before, between and behind runs, also where they overlap or reach too far", () => {
  const run = (firstStripe: number, stripeCount: number) => ({ firstStripe, stripeCount });
  expect(gapsBetween([], 8)).toEqual([run(0, 8)]);
  expect(gapsBetween([run(0, 4), run(4, 4)], 8)).toEqual([]);
  expect(gapsBetween([run(2, 2), run(3, 2), run(6, 1)], 8)).toEqual([run(0, 2), run(5, 1), run(7, 1)]);
  expect(gapsBetween([run(0, 4), run(9, 4)], 8)).toEqual([run(4, 4)]);
});
