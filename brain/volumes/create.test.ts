import { afterEach, describe, expect, test } from "bun:test";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { TestBrain } from "../sim/test-brain.ts";
import type { ResourceStore } from "../store/ports.ts";
import { finishEveryMs } from "./unfinished.ts";

let t: TestBrain;
afterEach(() => t.close());

const gone = () => t.brain.services.catalogue.volumes().length === 0;

/** Lets `hook` run before each run object is created. */
function beforeEachRun(hook: (made: number) => Promise<void>): void {
  const { store } = t;
  const create = store.create.bind(store);
  let made = 0;
  store.create = async (kind, object) => {
    if (kind.kind === ecStripeKind.kind) await hook(made++);
    return create(kind, object);
  };
}

async function reopen(wrap?: (store: ResourceStore) => ResourceStore): Promise<void> {
  await t.brain.stop();
  await t.store.close();
  await t.open(wrap);
  await t.pass(1500);
}

describe("creation", () => {
  test("that meets a deletion stops, leaves no run behind, and the name can be used again", async () => {
    t = await TestBrain.start();
    beforeEachRun(async (made) => {
      if (made !== 70) return;
      await t.brain.deleter.request("v1");
      await t.until(gone, "the volume to go");
    });
    await expect(t.create("v1", 200)).rejects.toThrow("deleted while it was being created");
    expect((await t.store.list(ecStripeKind)).items).toEqual([]);
    await t.create("v1", 2);
    expect(t.brain.services.catalogue.volume("v1").status?.phase).toBe("Importing");
  });

  test("replaces a run never written that an earlier volume of the name left behind, and none with data", async () => {
    t = await TestBrain.start();
    await t.importVolume("v1", 2);
    const runs = (await t.store.list(ecStripeKind)).items;
    await t.brain.deleter.request("v1");
    await t.until(gone, "the volume to go");
    const [{ spec, metadata, ...rest }] = [must(runs[0], "a run")];
    const written = { ...rest, spec, metadata: { name: metadata.name } };
    await t.store.create(ecStripeKind, { ...written, spec: { ...spec, generation: 0, placements: [] } });
    await t.create("v1", 2);
    await t.brain.deleter.request("v1");
    await t.until(gone, "the volume to go");
    await t.store.create(ecStripeKind, written);
    await expect(t.create("v1", 2)).rejects.toThrow(written.metadata.name);
    expect((await t.store.get(ecStripeKind, written.metadata.name))?.spec).toEqual(spec);
  });

  test("that can't be finished keeps no brain from starting, and is finished once it can be", async () => {
    t = await TestBrain.start();
    let broken = true;
    const wrap = (store: ResourceStore): ResourceStore => {
      const create = store.create.bind(store);
      store.create = async (kind, object) => {
        if (broken && kind.kind === ecStripeKind.kind) throw new AppError("NoSpace", "the disk is full");
        return create(kind, object);
      };
      return store;
    };
    await reopen(wrap);
    await expect(t.create("v1", 2)).rejects.toThrow("the disk is full");
    await reopen(wrap);
    expect(t.brain.readiness().ready).toBe(true);
    expect(t.brain.services.catalogue.volume("v1").status?.phase).toBe("Empty");
    broken = false;
    await t.pass(2 * finishEveryMs);
    expect(t.brain.services.catalogue.volume("v1").status?.phase).toBe("Importing");
    expect((await t.store.list(ecStripeKind)).items.length).toBe(2);
  });
});

test("a large creation that an earlier brain left half done keeps the next neither from serving nor from stopping, and is finished by the one after", async () => {
  t = await TestBrain.start();
  beforeEachRun(async (made) => {
    if (made === 70) throw new AppError("NoSpace", "the brain dies here");
  });
  await expect(t.create("v1", 300)).rejects.toThrow("dies here");
  const release = Promise.withResolvers<void>();
  let making = 0;
  await reopen((store) => {
    const create = store.create.bind(store);
    store.create = async (kind, object) => {
      if (kind.kind === ecStripeKind.kind && making++ === 0) await release.promise;
      return create(kind, object);
    };
    return store;
  });
  expect([t.brain.readiness().ready, making > 0]).toEqual([true, true]);
  const stopped = t.brain.stop();
  release.resolve();
  await stopped;
  expect((await t.store.list(ecStripeKind)).items.length).toBeLessThan(300);
  await t.crash();
  await t.until(() => t.brain.services.catalogue.volume("v1").status?.phase === "Importing", "its creation to end");
  expect((await t.store.list(ecStripeKind)).items.length).toBe(300);
});

test("a volume that a late read put back into memory after its deletion does not stay there", async () => {
  t = await TestBrain.start();
  await t.create("v1", 1);
  const { catalogue } = t.brain.services;
  const get = t.store.get.bind(t.store);
  const release = Promise.withResolvers<void>();
  let holding = false;
  t.store.get = async (kind, name) => {
    const object = await get(kind, name);
    if (holding && kind.kind === ecVolumeKind.kind) {
      holding = false;
      await release.promise;
    }
    return object;
  };
  await t.brain.deleter.request("v1");
  holding = true;
  const late = catalogue.freshVolume("v1");
  await t.until(gone, "the volume to go");
  release.resolve();
  must((await late).status, "status");
  expect(catalogue.volumes().length).toBe(1);
  await t.pass(2000);
  expect(catalogue.volumes()).toEqual([]);
});

test("an ECVolume without a status, as half a creation in Kubernetes leaves it, is told of by name and spoils no other volume", async () => {
  t = await TestBrain.start();
  await t.create("v1", 1);
  const { metadata: _, status: __, ...half } = must(await t.store.get(ecVolumeKind, "v1"), "v1");
  const spec = { ...half.spec, volumeUuid: t.fleet.prng.uuid() };
  await t.store.create(ecVolumeKind, { ...half, metadata: { name: "v2" }, spec });
  await expect(t.brain.deleter.request("v2")).rejects.toThrow("kubectl delete ecvolume v2");
  await expect(t.create("v2", 1)).rejects.toThrow("a volume of this name exists");
  expect(t.brain.services.catalogue.volumes().map(({ metadata }) => metadata.name)).toEqual(["v1"]);
});
