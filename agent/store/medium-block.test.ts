import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimCall } from "@couchestor/common/testing/sim-fault.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { MediumSpec } from "./pool-chunk-store.ts";
import { crashRun, Model } from "./testing/crash-workload.ts";
import { openFileBlockDevice } from "./testing/file-block-device.ts";
import { chunkOf, clusterUuid, dataOf, keyOf, poolOptions } from "./testing/fixture.ts";

const path = "/dev/disk";
const deviceBytes = 2 ** 20 + 24 * 64 * 1024 + 4096;

async function prepare(fs: SimFileSystem, bytes = deviceBytes): Promise<void> {
  await fs.makeDirectory("/dev");
  const file = await fs.open(path, "create-exclusive");
  await file.truncate(bytes);
  await file.sync();
  await fs.syncDirectory("/dev");
  await fs.syncDirectory("/");
}
const medium = (fs: SimFileSystem): MediumSpec => ({ kind: "block", path, open: () => openFileBlockDevice(fs, path) });
const simFs = (): SimFileSystem => new SimFileSystem({ prng: seededPrng(3) });

async function openBlock(fs: SimFileSystem, over: Partial<MediumSpec> = {}) {
  const store = await openChunkStore({
    ...poolOptions(fs, seededPrng(5)),
    medium: { ...medium(fs), ...over } as MediumSpec,
  });
  await store.adopt(clusterUuid);
  return store;
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: unknown) => (isAppError(error) ? error.code : String(error)),
  );
}

test("a stop at any call loses nothing acknowledged on a raw device either", async () => {
  const { calls } = await crashRun(1, Number.MAX_SAFE_INTEGER, undefined, new Model(medium), prepare);
  for (const seed of [1, 2]) {
    for (let at = 8; at <= calls; at++) {
      const run = await crashRun(seed * 1000 + at, at, undefined, new Model(medium), prepare);
      if (run.violations.length > 0) throw new Error(`seed ${seed}, call ${at}: ${run.violations.join("; ")}`);
    }
  }
}, 180_000);

test("without the device's sync the same crashes find a loss", async () => {
  const skip = (call: SimCall) => (call.operation === "sync" && call.index > 8 ? "skip" : undefined);
  let found = 0;
  for (let at = 20; at < 150 && found === 0; at++)
    found += (await crashRun(at, at, skip, new Model(medium), prepare)).violations.length;
  expect(found).toBeGreaterThan(0);
});

test("slots are used again after compaction, and old content in them is never taken for new", async () => {
  const fs = simFs();
  await prepare(fs);
  let store = await openBlock(fs);
  for (let round = 0; round < 12; round++) {
    const chunks = Array.from({ length: 12 }, (_, i) => chunkOf(round * 100 + i, { blocks: 3 }));
    for (const chunk of chunks) await store.put(chunk.image);
    const names = chunks.slice(1).map((chunk) => chunk.name);
    await store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names });
    await store.compact();
    if (round % 3 === 2) {
      await store.close();
      store = await openBlock(fs);
      expect(store.stats().openedFrom).toBe("scan");
    }
    expect(store.info().chunkCount).toBe(round + 1);
    for (let old = 0; old <= round; old++) {
      const chunk = chunkOf(old * 100, { blocks: 3 });
      expect(Buffer.compare((await store.get(keyOf(chunk.name), 0, 3)).bytes, chunk.data)).toBe(0);
    }
  }
  expect(store.segmentIds().at(-1)).toBeGreaterThan(24);
  await store.close();
});

test("a device with other content is refused unless it may be formatted", async () => {
  const fs = simFs();
  await prepare(fs);
  const file = await fs.open(path, "read-write");
  await file.write([dataOf(1, 1)], 500_000);
  expect(await codeOf(openBlock(fs))).toBe("FailedPrecondition");
  const store = await openBlock(fs, { format: true });
  const chunk = chunkOf(1);
  await store.put(chunk.image);
  await store.close();
  const again = await openBlock(fs);
  expect(Buffer.compare((await again.get(keyOf(chunk.name), 0, 1)).bytes, chunk.data)).toBe(0);
  await again.close();
});

test("a device that is too small, or smaller than its pool, is refused, and not kept open", async () => {
  const small = simFs();
  await prepare(small, 2 ** 20);
  expect(await codeOf(openBlock(small))).toBe("InvalidArgument");
  let open = 0;
  const counted: MediumSpec = {
    kind: "block",
    path,
    async open() {
      const device = await openFileBlockDevice(small, path);
      open++;
      return { ...device, close: () => device.close().then(() => void open--) };
    },
  };
  const refused = openChunkStore({ ...poolOptions(small, seededPrng(1), path), medium: counted });
  expect(await codeOf(refused)).toBe("InvalidArgument");
  expect(open).toBe(0);
  const fs = simFs();
  await prepare(fs);
  await (await openBlock(fs)).close();
  const file = await fs.open(path, "read-write");
  await file.truncate(deviceBytes - 64 * 1024);
  expect(await codeOf(openBlock(fs))).toBe("Unavailable");
});

test("either copy of the superblock will do, and a damaged slot header costs no chunk", async () => {
  for (const offset of [0, deviceBytes - 4096]) {
    const fs = simFs();
    await prepare(fs);
    const store = await openBlock(fs);
    const chunks = [1, 2, 3].map((no) => chunkOf(no));
    for (const chunk of chunks) await store.put(chunk.image);
    await store.close();
    fs.flipBit(path, offset + 70, 2);
    fs.flipBit(path, 2 ** 20 + 33, 2);
    const again = await openBlock(fs);
    for (const chunk of chunks)
      expect(Buffer.compare((await again.get(keyOf(chunk.name), 0, 1)).bytes, chunk.data)).toBe(0);
    await again.close();
  }
});

test("a full device refuses puts, still deletes, and takes puts again after compaction", async () => {
  const fs = simFs();
  await prepare(fs, 2 ** 20 + 8 * 64 * 1024 + 4096);
  const options = poolOptions(fs, seededPrng(5));
  const store = await openChunkStore({
    ...options,
    medium: medium(fs),
    limits: { ...options.limits, reserveBytes: 2 * 64 * 1024 },
  });
  await store.adopt(clusterUuid);
  const names = [];
  let code = "no error";
  for (let no = 0; no < 200 && code === "no error"; no++) {
    const chunk = chunkOf(no, { blocks: 3 });
    code = await codeOf(store.put(chunk.image));
    if (code === "no error") names.push(chunk.name);
  }
  expect(code).toBe("NoSpace");
  expect(store.info()).toMatchObject({ state: "Full", freeBytes: 0 });
  const gone = names.slice(0, -1);
  await store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names: gone });
  await store.compact();
  expect(store.info().state).toBe("Online");
  await store.put(chunkOf(999, { blocks: 3 }).image);
  await store.close();
});
