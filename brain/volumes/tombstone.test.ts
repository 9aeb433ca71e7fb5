import { afterEach, expect, test } from "bun:test";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { tombstoneKind } from "@couchestor/common/crd/volume-tombstone.ts";
import { nameOf } from "../sim/fake-chunks.ts";
import { TestBrain } from "../sim/test-brain.ts";
import { Tombstones } from "./tombstone.ts";

const unexpected = (name: string, error: Error): void => {
  throw new Error(name, { cause: error });
};

let t: TestBrain;
afterEach(() => t.close());

/** Imports, deletes and sweeps; then one of the volume's chunks is put late. */
async function deletedWithLateChunk(): Promise<void> {
  t = await TestBrain.start();
  await t.importVolume("v1", 1);
  const pool = [...t.fleet.node("n1").pools.values()].find((p) => p.chunks.size > 0);
  const [[, chunk] = []] = pool?.chunks ?? [];
  if (!pool || !chunk) throw new Error("no chunk");
  await t.brain.deleter.request("v1");
  await t.until(() => t.brain.services.catalogue.volumes().length === 0, "the deletion");
  await t.brain.sweeper.sweepAll();
  expect([t.fleet.chunkCount(), t.brain.tombstones.count]).toEqual([0, 0]);
  await t.crash();
  pool.chunks.set(nameOf(chunk), chunk);
}

test("a PUT of a deleted volume that arrives after all its pools were swept is swept as well", async () => {
  await deletedWithLateChunk();
  await t.brain.sweeper.sweepAll();
  expect(t.fleet.chunkCount()).toBe(0);
});

test("a recovery does not bring a volume back that is known to have been deleted", async () => {
  await deletedWithLateChunk();
  t.brain.recovery.start({ verify: true, dryRun: false });
  await t.brain.recovery.settle();
  expect(t.brain.recovery.report()).toMatchObject({ state: "Done", volumes: [] });
  expect(t.brain.services.catalogue.volumes()).toEqual([]);
});

test("of volumes that no pool waits for the newest are kept, and every one that some pool waits for", async () => {
  t = await TestBrain.start();
  const stones = new Tombstones(t.store, unexpected, 2);
  const [uuids, away, pool] = [
    [1, 2, 3, 4, 5].map(() => t.fleet.prng.uuid()),
    t.fleet.prng.uuid(),
    t.fleet.prng.uuid(),
  ];
  for (const [day, volumeUuid] of uuids.entries()) {
    const spec = { volumeUuid, name: "v", epoch: 1, deletedAt: `2026-01-0${day + 1}T00:00:00.000Z` };
    await stones.put(spec, day === 0 ? [pool, away] : [pool]);
  }
  await stones.swept(pool, stones.pending());
  expect(uuids.map((uuid) => stones.of(uuid) !== undefined)).toEqual([true, false, false, true, true]);
  expect((await t.store.list(tombstoneKind)).items.length).toBe(3);
});

test("one of which only the first write was made, without its status, waits for its pools all the same", async () => {
  t = await TestBrain.start();
  const stones = new Tombstones(t.store, unexpected);
  const [volumeUuid, pool] = [t.fleet.prng.uuid(), t.fleet.prng.uuid()];
  const spec = { volumeUuid, name: "v", epoch: 1, deletedAt: "2026-01-01T00:00:00.000Z" };
  // As a brain in Kubernetes leaves it that dies between the two writes.
  await t.store.create(tombstoneKind, { apiVersion, kind: tombstoneKind.kind, metadata: { name: volumeUuid }, spec });
  await stones.load();
  await stones.put(spec, [pool]);
  expect(stones.pending().map((stone) => stone.status?.pendingPools)).toEqual([[pool]]);
  expect((await t.store.get(tombstoneKind, volumeUuid))?.status?.pendingPools).toEqual([pool]);
  await stones.put(spec, [pool, t.fleet.prng.uuid()]);
  expect(stones.of(volumeUuid)?.status?.pendingPools).toEqual([pool]);
});
