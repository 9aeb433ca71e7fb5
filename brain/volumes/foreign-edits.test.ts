/** Somebody edits or deletes ECStripes and ECVolumes by hand while the brain runs: it notices, and nothing is lost by it. */
import { afterEach, beforeEach, describe, expect, test } from "bun:test";
import { type EcStripe, type EcStripeSpec, ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { tombstoneKind } from "@couchestor/common/crd/volume-tombstone.ts";
import { brainMetrics } from "../observe/metrics.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { grantEncode } from "./encode.ts";
import { acceptAnnotation, trustedCondition } from "./foreign-edits.ts";
import { volumeMap } from "./maps.ts";

const runName = "v1-0000000000";
let t: TestBrain;
beforeEach(async () => {
  t = await TestBrain.start();
  await t.create("v1", 2);
});
afterEach(() => t.close());

async function stored(name = runName): Promise<EcStripe> {
  const run = await t.store.get(ecStripeKind, name);
  if (run === undefined) throw new Error(`there is no ${name}`);
  return run;
}

/** As kubectl does: past the brain. */
async function edit(change: (spec: EcStripeSpec) => Partial<EcStripeSpec>, name = runName): Promise<void> {
  const run = await stored(name);
  await t.store.update(ecStripeKind, { ...run, spec: { ...run.spec, ...change(run.spec) } });
  await t.pass(1_500);
}

const held = () => t.brain.services.catalogue.whyHeld(t.brain.services.catalogue.volume("v1").spec.volumeUuid, runName);
const condition = async () => (await stored()).status?.conditions?.find(({ type }) => type === trustedCondition);

/** Run 0 in generation 2, with all chunks of generation 1 still there; returns the spec of generation 1. */
async function rewrittenOnce(): Promise<EcStripeSpec> {
  await t.importRun("v1", 0);
  const { spec } = await stored();
  t.fleet.fault = (call) => (call === "deleteChunks" ? "unreachable" : undefined);
  await t.importRun("v1", 0);
  await t.pass(60_000);
  t.fleet.fault = () => undefined;
  await t.crash();
  await t.brain.services.catalogue.freshRun(runName);
  expect(t.fleet.chunkCount()).toBe(48);
  expect((await stored()).spec.generation).toBe(2);
  return spec;
}

const chunks = (): string[] =>
  [...t.fleet.nodes.values()].flatMap((node) => [...node.pools.values()].flatMap((pool) => [...pool.chunks.keys()]));

async function sweep(): Promise<void> {
  for (let i = 0; i < 2; i++) await t.brain.sweeper.sweepAll();
}

describe("an ECStripe put back to an older generation whose chunks are still there", () => {
  test("costs not one chunk of the newer, is told in its status, and counts again when it is put back", async () => {
    const older = await rewrittenOnce();
    const newer = (await stored()).spec;
    await edit(() => older);
    expect(held()).toContain("went back");
    await expect(volumeMap(t.brain.services, older.volumeUuid, { firstStripe: 0, stripeCount: 4 })).rejects.toThrow(
      "by hand",
    );
    expect(await condition()).toMatchObject({ status: "False", reason: "ChangedByHand" });
    expect(await brainMetrics(t.brain).metrics()).toMatch(/^couchestor_runs_held(\{.*\})? 1$/m);
    expect((await condition())?.message).toContain(acceptAnnotation);
    await sweep();
    expect(t.fleet.chunkCount()).toBe(48);
    await edit(() => newer);
    expect(held()).toBeUndefined();
    expect(await condition()).toMatchObject({ status: "True" });
    await sweep();
    expect(t.fleet.chunkCount()).toBe(24);
    expect(await t.fleet.readable({ ...newer, ...shapeOfMap(newer) }, newer.volumeUuid)).toBe(true);
  });

  test("is held by the next brain too, which has not seen the newer one", async () => {
    const older = await rewrittenOnce();
    await edit(() => older);
    await t.crash();
    expect(held()).toContain("went back");
    await sweep();
    expect(t.fleet.chunkCount()).toBe(48);
  });

  test("is not written either: no encode is granted, and a report of before is neither answered nor dropped", async () => {
    const older = await rewrittenOnce();
    await grantEncode(t.brain.services, "v1", { runIndex: 0 });
    const { node, task } = t.encodeAct();
    const done = t.fleet.perform(node, task);
    if (!done) throw new Error("died");
    await edit(() => older);
    await expect(t.brain.services.acts.done(done)).rejects.toThrow("by hand");
    expect(t.fleet.chunkCount()).toBe(72);
    node.acts.clear();
    await expect(grantEncode(t.brain.services, "v1", { runIndex: 0 })).rejects.toThrow("by hand");
  });

  test("counts once a person says so, for this spec and no later one", async () => {
    const older = await rewrittenOnce();
    const newer = (await stored()).spec;
    await edit(() => older);
    const run = await stored();
    const annotations = { ...run.metadata.annotations, [acceptAnnotation]: String(run.metadata.generation) };
    await t.store.update(ecStripeKind, { ...run, metadata: { ...run.metadata, annotations } });
    await t.pass(1_500);
    expect(held()).toBeUndefined();
    expect((await condition())?.status).toBe("True");
    await edit(() => ({ ...newer, fencedEpoch: newer.fencedEpoch, generation: 1, encodeAct: 999 }));
    expect(held()).toContain("encoding of generation 1 changed");
  });
});

const bad: [string, (spec: EcStripeSpec) => Partial<EcStripeSpec>][] = [
  ["shards elsewhere under the same version", (s) => moved(s, 0)],
  ["a column taken out", (s) => moved(s, 0, true)],
  ["another code", () => ({ code: { family: "rs", k: 3, m: 3 } })],
  [
    "an exception made up",
    (s) => ({
      exceptions: [{ stripe: 0, shardIndex: 1, poolUuid: s.volumeUuid, putEpoch: 1, putAct: 1, present: false }],
    }),
  ],
  ["never written", () => ({ generation: 0, encodeEpoch: 0, encodeAct: 0, placements: [], exceptions: [] })],
  ["fewer stripes", (s) => ({ stripeCount: s.stripeCount - 1 })],
  ["an open fence", () => ({ fencedEpoch: 0 })],
];

function moved(spec: EcStripeSpec, shard: number, out = false): Partial<EcStripeSpec> {
  return {
    placements: spec.placements.map((placement) => ({
      ...placement,
      shardLocations: placement.shardLocations.flatMap((l) =>
        l.shardIndex !== shard ? [l] : out ? [] : [{ ...l, putAct: l.putAct + 77 }],
      ),
    })),
  };
}

function shapeOfMap(spec: EcStripeSpec) {
  const placement = spec.placements.at(-1);
  return { placementVersion: placement?.version ?? 0, shardLocations: placement?.shardLocations ?? [] };
}

for (const [what, change] of bad) {
  test(`an edit (${what}) is held: after time, sweeps and a lost node every chunk of what was committed is still there`, async () => {
    await t.importRun("v1", 0);
    await edit(change);
    expect(held()).toBeString();
    const before = new Set(chunks());
    await sweep();
    t.fleet.kill("n1");
    await t.pass(20_000);
    t.fleet.restart("n1");
    await t.pass(1_000);
    await sweep();
    const after = new Set(chunks());
    expect([...before].filter((name) => !after.has(name))).toEqual([]);
    // None was rebuilt by a map that somebody made up.
    expect(after.size).toBe(before.size);
  });
}

test("an ECStripe deleted by hand is forgotten, nothing of it is removed, and an older one in its place is held", async () => {
  const older = await rewrittenOnce();
  const volume = t.brain.services.catalogue.volume("v1");
  await t.store.delete(ecStripeKind, runName);
  await t.pass(500);
  expect(t.brain.services.catalogue.runs.get(volume.spec.volumeUuid, runName)).toBeUndefined();
  await sweep();
  expect(t.fleet.chunkCount()).toBe(48);
  await t.store.create(ecStripeKind, { apiVersion, kind: "ECStripe", metadata: { name: runName }, spec: older });
  await t.pass(1_500);
  expect(held()).toContain("went back");
  await sweep();
  expect(t.fleet.chunkCount()).toBe(48);
});

describe("ECVolumes", () => {
  test("one deleted by hand is no volume any more, its chunks stay, and it is one again when it is put back", async () => {
    await t.importRun("v1", 0);
    await t.importRun("v1", 1);
    const volume = await t.store.get(ecVolumeKind, "v1");
    if (volume === undefined) throw new Error("there is no volume");
    await t.store.delete(ecVolumeKind, "v1");
    await t.pass(500);
    expect(t.brain.services.catalogue.volumes()).toEqual([]);
    await sweep();
    expect(t.fleet.chunkCount()).toBe(48);
    const { name, annotations = {} } = volume.metadata;
    await t.store.create(ecVolumeKind, { ...volume, metadata: { name, annotations } });
    await t.pass(500);
    expect(t.brain.services.catalogue.volume("v1").spec).toEqual(volume.spec);
    expect(await t.allReadable("v1")).toBe(true);
  });

  test("one whose geometry was edited is held with all its runs until it is put back", async () => {
    await t.importRun("v1", 0);
    const volume = await t.store.get(ecVolumeKind, "v1");
    if (volume === undefined) throw new Error("there is no volume");
    const edited = await t.store.update(ecVolumeKind, {
      ...volume,
      spec: { ...volume.spec, stripeSizeBytes: 131_072 },
    });
    await t.pass(500);
    expect(held()).toContain("stripeSizeBytes changed");
    await expect(grantEncode(t.brain.services, "v1", { runIndex: 0 })).rejects.toThrow("stripeSizeBytes changed");
    await t.store.update(ecVolumeKind, { ...edited, spec: volume.spec });
    await t.pass(500);
    expect(held()).toBeUndefined();
  });

  test("one that has had an owner is not created anew when its phase is put back to Empty", async () => {
    await t.importRun("v1", 0);
    const volume = await t.store.get(ecVolumeKind, "v1");
    if (volume?.status === undefined) throw new Error("there is no volume");
    await t.store.updateStatus(ecVolumeKind, { ...volume, status: { ...volume.status, phase: "Empty" } });
    await t.store.delete(ecStripeKind, runName);
    await t.pass(30_000);
    await t.crash();
    await t.pass(30_000);
    expect(await t.store.get(ecStripeKind, runName)).toBeUndefined();
  });

  test("a tombstone made by hand for a volume that is there removes nothing", async () => {
    await t.importRun("v1", 0);
    const { volumeUuid } = t.brain.services.catalogue.volume("v1").spec;
    const spec = { volumeUuid, name: "v1", epoch: 2 ** 40, deletedAt: "2026-01-01T00:00:00.000Z" };
    const status = { pendingPools: [], sweptPools: 0 };
    await t.store.create(tombstoneKind, {
      apiVersion,
      kind: tombstoneKind.kind,
      metadata: { name: volumeUuid },
      spec,
      status,
    });
    await t.crash();
    await sweep();
    expect(t.fleet.chunkCount()).toBe(24);
  });

  test("one that another brain made is known at once, and one without a status is not taken for one", async () => {
    const volume = await t.store.get(ecVolumeKind, "v1");
    if (volume === undefined) throw new Error("there is no volume");
    const { status, ...rest } = volume;
    const other = {
      ...rest,
      metadata: { name: "v2" },
      spec: { ...volume.spec, volumeUuid: "00000000-0000-4000-8000-00000000000a" },
    };
    const created = await t.store.create(ecVolumeKind, other);
    await t.pass(100);
    expect(t.brain.services.catalogue.volumes().map((v) => v.metadata.name)).toEqual(["v1"]);
    await t.store.updateStatus(ecVolumeKind, { ...created, status });
    await t.pass(100);
    expect(t.brain.services.catalogue.volumes().map((v) => v.metadata.name)).toEqual(["v1", "v2"]);
  });
});
