/** Deletions that meet what people do by hand meanwhile. */
import { afterEach, expect, test } from "bun:test";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { fenceAnnotation, fenceRun } from "./commit.ts";

let t: TestBrain;
afterEach(() => t.close());

test("a deletion removes nothing of a volume that was made under its name since: neither object, nor run, nor chunk", async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 2);
  const [first, second] = (await t.store.list(ecStripeKind)).items;
  const old = must(await t.store.get(ecVolumeKind, "v1"), "v1");
  const another = t.fleet.prng.uuid();
  const remove = t.store.delete.bind(t.store);
  let replaced = false;
  // Impatient hands: while the first run is being removed, all that is left of the volume is, and both are made again.
  t.store.delete = async (kind, name, version) => {
    await remove(kind, name, version);
    if (replaced || name !== first?.metadata.name) return;
    replaced = true;
    const run = must(second, "the second run");
    await remove(ecStripeKind, run.metadata.name);
    await remove(ecVolumeKind, "v1");
    const { metadata: _, ...volume } = old;
    await t.store.create(ecVolumeKind, {
      ...volume,
      metadata: { name: "v1" },
      spec: { ...old.spec, volumeUuid: another },
    });
    const spec = { ...run.spec, volumeUuid: another };
    await t.store.create(ecStripeKind, { ...run, metadata: { name: run.metadata.name }, spec });
  };
  const deleted: string[] = [];
  const deleteChunks = t.fleet.deleteChunks.bind(t.fleet);
  t.fleet.deleteChunks = (url, pool, request) => {
    deleted.push(JSON.stringify(request));
    return deleteChunks(url, pool, request);
  };
  await t.brain.deleter.request("v1");
  await t.brain.deleter.settle();
  expect(replaced).toBe(true);
  expect((await t.store.get(ecVolumeKind, "v1"))?.spec.volumeUuid).toBe(another);
  const kept = await t.store.get(ecStripeKind, must(second, "the second run").metadata.name);
  expect(kept?.spec).toEqual({ ...must(second, "the second run").spec, volumeUuid: another });
  expect(deleted.filter((request) => request.includes(another))).toEqual([]);
  expect(t.brain.services.catalogue.volumeByUuid(old.spec.volumeUuid)).toBeUndefined();
});

test("a fence changes the object each time, whatever somebody wrote into its annotation", async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 1);
  const { catalogue } = t.brain.services;
  const name = "v1-0000000000";
  for (const value of ["abc", "NaN", String(2 ** 53), "-1"]) {
    const run = must(await t.store.get(ecStripeKind, name), name);
    const metadata = { ...run.metadata, annotations: { [fenceAnnotation]: value } };
    const edited = await t.store.update(ecStripeKind, { ...run, metadata });
    const versions = [edited.metadata.resourceVersion];
    for (let i = 0; i < 3; i++) {
      const fenced = await fenceRun(catalogue, name, run.spec.fencedEpoch, true);
      versions.push(fenced?.metadata.resourceVersion);
    }
    expect({ value, versions: new Set(versions).size }).toEqual({ value, versions: 4 });
  }
});

test("a brain that is stopped does not wait for the end of a large deletion, and the next one ends it", async () => {
  t = await TestBrain.start();
  await t.importVolume("v1", 8);
  const remove = t.store.delete.bind(t.store);
  let stopped: Promise<void> | undefined;
  t.store.delete = async (kind, name, version) => {
    stopped ??= t.brain.stop();
    await remove(kind, name, version);
  };
  await t.brain.deleter.request("v1");
  await t.until(() => stopped !== undefined, "the first run to go");
  await stopped;
  const left = (await t.store.list(ecStripeKind)).items.length;
  expect(left).toBeGreaterThanOrEqual(6);
  await t.crash();
  await t.until(() => t.brain.services.catalogue.volumes().length === 0, "the deletion");
  expect([(await t.store.list(ecStripeKind)).items, t.fleet.chunkCount()]).toEqual([[], 0]);
});
