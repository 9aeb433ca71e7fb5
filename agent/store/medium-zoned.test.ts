import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimCall } from "@couchestor/common/testing/sim-fault.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { MediumSpec, PoolChunkStore } from "./pool-chunk-store.ts";
import { crashRun, Model } from "./testing/crash-workload.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions } from "./testing/fixture.ts";
import { makeSimZones, openSimZones, type SimZones, simZones } from "./testing/sim-zoned-device.ts";

const path = "/dev/zones";
const simFs = (seed = 3): SimFileSystem => new SimFileSystem({ prng: seededPrng(seed) });
const mediumOf =
  (zones: SimZones) =>
  (fs: SimFileSystem): MediumSpec => ({ kind: "zoned", path, open: () => openSimZones(fs, path, zones) });

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: unknown) => (isAppError(error) ? error.code : String(error)),
  );
}

/** A device, and a way to open the pool on it again and again. */
async function device(over: Partial<SimZones> = {}) {
  const fs = simFs();
  const zones = simZones(over);
  await makeSimZones(fs, path, zones);
  const open = async (more: { format?: boolean; reserveBytes?: number } = {}): Promise<PoolChunkStore> => {
    const options = poolOptions(fs, seededPrng(5));
    const { reserveBytes = 0, format = false } = more;
    const store = await openChunkStore({
      ...options,
      medium: { ...mediumOf(zones)(fs), format } as MediumSpec,
      limits: { ...options.limits, reserveBytes },
    });
    await store.adopt(clusterUuid);
    return store;
  };
  return { fs, zones, open };
}

async function expectData(store: PoolChunkStore, no: number, blocks: number): Promise<void> {
  const chunk = chunkOf(no, { blocks });
  const { bytes } = await store.get(keyOf(chunk.name), 0, blocks);
  expect(Buffer.compare(bytes, chunk.data)).toBe(0);
}

const deletion = (nos: readonly number[], blocks: number) => ({
  orderedBy: { epoch: 2 ** 33, actNo: 1 },
  reason: "garbage" as const,
  names: nos.map((no) => chunkOf(no, { blocks }).name),
});

test("a stop at any call loses nothing acknowledged on a zoned device", async () => {
  const zones = simZones();
  const prepare = (fs: SimFileSystem) => makeSimZones(fs, path, zones);
  const { calls } = await crashRun(1, Number.MAX_SAFE_INTEGER, undefined, new Model(mediumOf(zones)), prepare);
  expect(calls).toBeGreaterThan(150);
  for (const seed of [1, 2]) {
    for (let at = 0; at <= calls; at++) {
      const run = await crashRun(seed * 1000 + at, at, undefined, new Model(mediumOf(zones)), prepare);
      if (run.violations.length > 0) throw new Error(`seed ${seed}, call ${at}: ${run.violations.join("; ")}`);
    }
  }
}, 180_000);

test("without the device's sync the same crashes find a loss", async () => {
  const zones = simZones();
  const prepare = (fs: SimFileSystem) => makeSimZones(fs, path, zones);
  const skip = (call: SimCall) => (call.operation === "sync" ? "skip" : undefined);
  let found = 0;
  for (let at = 60; at < 180 && found === 0; at++)
    found += (await crashRun(at, at, skip, new Model(mediumOf(zones)), prepare)).violations.length;
  expect(found).toBeGreaterThan(0);
}, 180_000);

test("zones are emptied by compaction and used again, never more of them active than the device allows", async () => {
  const { open } = await device();
  let store = await open();
  for (let round = 0; round < 16; round++) {
    const nos = Array.from({ length: 12 }, (_, i) => round * 100 + i);
    for (const no of nos) await store.put(chunkOf(no, { blocks: 3 }).image);
    await store.delete(deletion(nos.slice(1), 3));
    await store.compact();
    // Every process leaves a zone that is partly written.
    await store.close();
    store = await open();
    expect(store.stats()).toMatchObject({ openedFrom: "scan", damage: [] });
    expect(store.info().chunkCount).toBe(round + 1);
    for (let old = 0; old <= round; old++) await expectData(store, old * 100, 3);
  }
  expect(store.segmentIds().at(-1)).toBeGreaterThan(24);
  await store.close();
});

test("a process killed in the midst of writing leaves all that was acknowledged, up to the write pointer", async () => {
  const { fs, open } = await device();
  const store = await open();
  for (let no = 0; no < 4; no++) await store.put(chunkOf(no, { blocks: 2 }).image);
  fs.inject = (call) => (call.operation === "write" ? "crash" : undefined);
  expect(await codeOf(store.put(chunkOf(4, { blocks: 2 }).image))).not.toBe("no error");
  fs.inject = undefined;
  fs.kill();
  const again = await open();
  for (let no = 0; no < 4; no++) await expectData(again, no, 2);
  expect((await again.put(chunkOf(4, { blocks: 2 }).image)).alreadyThere).toBe(false);
  await expectData(again, 4, 2);
  expect(again.segmentIds().length).toBe(2);
  await again.close();
});

test("a full device answers NoSpace, is read and deleted from, and takes puts again after compaction", async () => {
  const { open } = await device({ zoneCount: 10 });
  const store = await open({ reserveBytes: 2 * 64 * 1024 });
  const nos: number[] = [];
  let code = "no error";
  for (let no = 0; no < 200 && code === "no error"; no++) {
    code = await codeOf(store.put(chunkOf(no, { blocks: 3 }).image));
    if (code === "no error") nos.push(no);
  }
  expect(code).toBe("NoSpace");
  expect(nos.length).toBeGreaterThan(15);
  expect(store.info()).toMatchObject({ kind: "zoned", state: "Full", freeBytes: 0 });
  for (const no of nos) await expectData(store, no, 3);
  expect((await store.delete(deletion(nos.slice(1), 3))).deleted).toBe(nos.length - 1);
  expect((await store.compact()).removed.length).toBeGreaterThan(2);
  expect(store.info().state).toBe("Online");
  await store.put(chunkOf(999, { blocks: 3 }).image);
  await store.close();
});

test("when the last zone is taken, the one before it still takes deletions", async () => {
  const { open } = await device({ zoneCount: 6 });
  const store = await open();
  // Three chunks of 3 blocks to a zone leave 12 KiB of it; a fourth finds no zone left in the end.
  const nos = Array.from({ length: 12 }, (_, no) => no);
  for (const no of nos) await store.put(chunkOf(no, { blocks: 3 }).image);
  expect(await codeOf(store.put(chunkOf(50, { blocks: 3 }).image))).toBe("NoSpace");
  expect(await store.delete(deletion([0, 1, 2], 3))).toEqual({ deleted: 3, absent: 0 });
  expect((await store.compact([1])).removed).toEqual([1]);
  await store.put(chunkOf(50, { blocks: 3 }).image);
  await store.close();
  const again = await open();
  expect(again.info().chunkCount).toBe(10);
  await again.close();
});

test("a device with content is refused and left alone, unless it may be formatted; so is one with a file system in front", async () => {
  for (const conventional of [0, 2]) {
    const { fs, open, zones } = await device({ conventional });
    const foreign = await fs.open(`${path}/zone-${conventional === 0 ? 7 : 0}`, "read-write");
    await foreign.write([new Uint8Array(4096).fill(7)], 0);
    const before = await (await openSimZones(fs, path, zones)).report();
    expect(await codeOf(open())).toBe("FailedPrecondition");
    expect(await (await openSimZones(fs, path, zones)).report()).toEqual(before);
    const store = await open({ format: true });
    await store.put(chunkOf(1).image);
    await store.close();
    const again = await open();
    await expectData(again, 1, 1);
    await again.close();
  }
});

test("a device with too few zones, too small ones, or with too few that may be active is refused", async () => {
  for (const over of [
    { zoneCount: 5 },
    { capacityBytes: 32 * 1024 },
    { activeZonesMax: 2 },
    { zoneCount: 8, conventional: 3 },
  ])
    expect(await codeOf((await device(over)).open())).toBe("InvalidArgument");
  const { fs, open, zones } = await device();
  await (await open()).close();
  zones.zoneCount = 20;
  expect(await codeOf(open())).toBe("Unavailable");
  expect(fs.usedBytes()).toBeGreaterThan(0);
});

test("the superblock's zones are emptied in turn when they are full; at a stop at any step of it the cluster is not forgotten", async () => {
  const home = (call: SimCall) =>
    /zone-[01]$/.test(call.path) && ["write", "truncate", "sync"].includes(call.operation);
  let stopped = 0;
  for (const behind of [0, 1]) {
    for (let at = 0; at < 10; at++) {
      const { fs, open, zones } = await device();
      await (await open()).close();
      // Both zones full: one of the newest copy, the other of the one before the pool was bound to its cluster.
      for (const zone of [0, 1]) {
        const file = await fs.open(`${path}/zone-${zone}`, "read-write");
        const copy = new Uint8Array(4096);
        await file.read(copy, zone === behind ? 0 : 4096);
        for (let offset = 0; offset < zones.capacityBytes; offset += 4096) await file.write([copy], offset);
        await file.sync();
      }
      let seen = 0;
      fs.inject = (call) => (home(call) && seen++ === at ? "crash" : undefined);
      await open().then(
        (store) => store.close(),
        () => stopped++,
      );
      fs.inject = undefined;
      fs.crash();
      const again = await openChunkStore({ ...poolOptions(fs, seededPrng(9)), medium: mediumOf(zones)(fs) });
      expect(again.info().clusterUuid).toBe(clusterUuid);
      await again.close();
    }
  }
  expect(stopped).toBeGreaterThan(8);
});

test("a damaged copy of the superblock, and a damaged segment header, cost nothing", async () => {
  for (const zone of [0, 1]) {
    const { fs, open } = await device();
    const store = await open();
    for (const no of [1, 2, 3]) await store.put(chunkOf(no).image);
    await store.close();
    for (const copy of [0, 4096]) fs.flipBit(`${path}/zone-${zone}`, copy + 70, 2);
    fs.flipBit(`${path}/zone-2`, 33, 2);
    const again = await open();
    for (const no of [1, 2, 3]) await expectData(again, no, 1);
    await again.close();
    for (const copy of [0, 4096]) fs.flipBit(`${path}/zone-${1 - zone}`, copy + 70, 2);
    await (await open()).close();
  }
});

test("a zone that turns read-only is read and never emptied; one that is offline costs its own chunks only", async () => {
  const { open, zones } = await device();
  const store = await open();
  for (let no = 0; no < 12; no++) await store.put(chunkOf(no, { blocks: 3 }).image);
  await store.close();
  zones.readOnly.add(2);
  zones.offline.add(3);
  const again = await open();
  for (const no of [0, 1, 2]) await expectData(again, no, 3);
  const inZone3 = chunkOf(4, { blocks: 3 });
  expect(await codeOf(again.get(keyOf(inZone3.name), 0, 3))).toBe("ChunkAbsent");
  await again.delete(deletion([0, 1, 2], 3));
  expect((await again.compact([1])).removed).toEqual([]);
  await again.put(chunkOf(70, { blocks: 3 }).image);
  await again.close();
  const third = await open();
  expect(third.has(chunkOf(0, { blocks: 3 }).name)).toBe(false);
  await expectData(third, 70, 3);
  await third.close();
});

test("after a write that fails nothing more is written until the pool is opened anew, behind where the device then says", async () => {
  const { fs, open } = await device();
  const store = await open();
  await store.put(chunkOf(1).image);
  fs.inject = (call) => (call.operation === "write" ? "EIO" : undefined);
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("ReadOnly");
  fs.inject = undefined;
  expect(await codeOf(store.put(chunkOf(3).image))).toBe("ReadOnly");
  await expectData(store, 1, 1);
  await store.close();
  const again = await open();
  await again.put(chunkOf(2).image);
  for (const no of [1, 2]) await expectData(again, no, 1);
  await again.close();
});

test("blocks of a zone that can't be read cost the records in them; a zone of which nothing is known is not emptied", async () => {
  const { fs, open } = await device();
  const store = await open();
  for (let no = 0; no < 8; no++) await store.put(chunkOf(no, { blocks: 3 }).image);
  await store.close();
  const unreadable = (call: SimCall) => (call.operation === "read" && call.path.endsWith("zone-2") ? "EIO" : undefined);
  let reads = 0;
  // The segment's header alone: its records say which segment it is.
  fs.inject = (call) => (unreadable(call) !== undefined && reads++ < 2 ? "EIO" : undefined);
  const without = await open();
  fs.inject = undefined;
  expect(reads).toBeGreaterThan(1);
  for (let no = 0; no < 8; no++) await expectData(without, no, 3);
  await without.close();
  // All of it: its chunks are unknown, and nothing else takes its place.
  fs.inject = unreadable;
  const blind = await open();
  await blind.put(chunkOf(19).image);
  // It may be the newest of all segments, and no two may have one id.
  expect(blind.segmentIds().at(-1)).toBeGreaterThan(4096);
  for (let no = 20; no < 80; no++) await codeOf(blind.put(chunkOf(no, { blocks: 3 }).image));
  await blind.close();
  fs.inject = undefined;
  const again = await open();
  for (let no = 0; no < 8; no++) await expectData(again, no, 3);
  await again.close();
});

test("starts that come to nothing do not use up the zones that compaction needs: with few left the last one is written on", async () => {
  const { fs, open } = await device({ zoneCount: 8 });
  const nos: number[] = [];
  const putOne = async (store: PoolChunkStore, no: number) => {
    const code = await codeOf(store.put(chunkOf(no).image));
    if (code === "no error") nos.push(no);
    return code;
  };
  // Killed again and again, right after a chunk: six zones would be gone after six starts.
  for (let start = 0; start < 16; start++) {
    const store = await open();
    expect(await putOne(store, start)).toBe("no error");
    fs.kill();
  }
  const store = await open();
  for (const no of nos) await expectData(store, no, 1);
  expect(store.stats().damage).toEqual([]);
  expect(store.segmentIds().length).toBeLessThan(6);
  expect((await store.delete(deletion(nos.slice(4), 1))).deleted).toBe(12);
  await store.compact();
  await store.close();
  const again = await open();
  expect(again.info().chunkCount).toBe(4);
  for (const no of nos.slice(0, 4)) await expectData(again, no, 1);
  await again.close();
});

test("with few zones too a stop at any call loses nothing acknowledged", async () => {
  const zones = simZones({ zoneCount: 10 });
  const prepare = (fs: SimFileSystem) => makeSimZones(fs, path, zones);
  const { calls } = await crashRun(1, Number.MAX_SAFE_INTEGER, undefined, new Model(mediumOf(zones)), prepare);
  expect(calls).toBeGreaterThan(120);
  for (let at = 0; at <= calls; at++) {
    const run = await crashRun(3000 + at, at, undefined, new Model(mediumOf(zones)), prepare);
    if (run.violations.length > 0) throw new Error(`call ${at}: ${run.violations.join("; ")}`);
  }
}, 180_000);

test("a zone whose first write was torn is emptied before another becomes active", async () => {
  const { fs, open, zones } = await device();
  const store = await open();
  for (let no = 0; no < 16; no++) await store.put(chunkOf(no, { blocks: 3 }).image);
  await store.delete(deletion([0, 1, 2, 3, 4, 5], 3));
  await store.compact([1, 2]);
  const used = store.segmentIds().length;
  await store.close();
  // The log goes round: zones before the torn one are empty again.
  const report = await (await openSimZones(fs, path, zones)).report();
  const empty = report.flatMap(({ state }, zone) => (state === "empty" ? [zone] : []));
  expect(empty[0]).toBe(2);
  const last = report.findLastIndex(({ state }) => state === "active");
  const ends = await fs.open(`${path}/zone-${last}`, "read-write");
  await ends.truncate(zones.capacityBytes);
  const torn = await fs.open(`${path}/zone-${last + 1}`, "read-write");
  await torn.write([new Uint8Array(4096).fill(7)], 0);
  const again = await open();
  expect(again.segmentIds().length).toBe(used);
  expect((await again.put(chunkOf(40, { blocks: 3 }).image)).alreadyThere).toBe(false);
  await expectData(again, 40, 3);
  await again.close();
});
