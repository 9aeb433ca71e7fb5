import { describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimCall } from "@couchestor/common/testing/sim-fault.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { PoolChunkStore } from "./pool-chunk-store.ts";
import { Model, put, remove, violations } from "./testing/crash-workload.ts";
import { chunkOf, clusterUuid, keyOf, openSimPool, poolOptions } from "./testing/fixture.ts";

const simFs = (seed = 1): SimFileSystem => new SimFileSystem({ prng: seededPrng(seed) });

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: unknown) => (isAppError(error) ? error.code : String(error)),
  );
}

/** Puts, deletes and compacts as far as the pool lets it; every answer goes into the model. Returns how many calls failed. */
async function workload(store: PoolChunkStore, model: Model, from: number): Promise<number> {
  let failed = 0;
  const attempt = async (run: () => Promise<unknown>): Promise<void> => {
    await run().catch((error: unknown) => {
      if (!isAppError(error)) throw error;
      failed++;
    });
  };
  await attempt(() => put(store, model, from));
  await Promise.all([1, 2, 3, 4].map((no) => attempt(() => put(store, model, from + no))));
  await attempt(() => remove(store, model, [from + 1, from + 2]));
  await Promise.all([5, 6, 7].map((no) => attempt(() => put(store, model, from + no))));
  await store.compact(store.segmentIds().slice(0, -1)).catch(() => failed++);
  await attempt(() => put(store, model, from + 8));
  return failed;
}

/** Runs with `code` at the `nth` call that `matches`; then without, as far as the pool goes on; then a crash. */
async function faultRun(
  code: string,
  nth: number,
  matches: (call: SimCall) => boolean,
): Promise<{ hit: boolean; found: string[] }> {
  const fs = simFs(nth);
  const model = new Model();
  const store = await openSimPool(fs);
  model.adopted = true;
  let seen = 0;
  let hit = false;
  fs.inject = (call) => {
    if (!matches(call) || seen++ !== nth) return undefined;
    hit = true;
    return code;
  };
  await workload(store, model, 0);
  await workload(store, model, 100);
  const data = await Promise.all([...model.chunks.values()].map(({ chunk, state }) => readBack(store, chunk, state)));
  fs.inject = undefined;
  await store.close();
  const afterClose = await violations(fs, model);
  fs.crash();
  return { hit, found: [...data.flat(), ...afterClose, ...(await violations(fs, model))] };
}

/** While the pool lives: what was acknowledged can be read, what it cannot read is an error. */
async function readBack(store: PoolChunkStore, chunk: ReturnType<typeof chunkOf>, state: string): Promise<string[]> {
  const code = await codeOf(
    store.get(keyOf(chunk.name), 0, chunk.data.byteLength / 4096).then(({ bytes }) => {
      if (Buffer.compare(bytes, chunk.data) !== 0) throw new Error("wrong data");
    }),
  );
  if (code === "no error") return state === "gone" ? ["deleted and there"] : [];
  return code === "ChunkAbsent" && state !== "there" ? [] : [`${state} and ${code}`];
}

const isWrite = (call: SimCall): boolean => ["write", "truncate", "rename", "remove"].includes(call.operation);
const isSync = (call: SimCall): boolean => call.operation === "sync" || call.operation === "sync-directory";

describe("a failing call, at every place in turn, loses nothing acknowledged and returns nothing wrong:", () => {
  const kinds: [string, string, (call: SimCall) => boolean][] = [
    ["ENOSPC at a write", "ENOSPC", isWrite],
    ["a short write, then ENOSPC", "short", (call) => call.operation === "write"],
    ["EIO at a write", "EIO", isWrite],
    ["EIO at a sync, whose data is then gone although the next sync succeeds", "EIO", isSync],
    ["ENOSPC at a sync", "ENOSPC", isSync],
    ["EROFS at a write", "EROFS", isWrite],
  ];
  for (const [name, code, matches] of kinds) {
    test(name, async () => {
      let nth = 0;
      for (; ; nth++) {
        const { hit, found } = await faultRun(code, nth, matches);
        if (found.length > 0) throw new Error(`${name}, number ${nth}: ${found.join("; ")}`);
        if (!hit) break;
      }
      expect(nth).toBeGreaterThan(8);
    }, 180_000);
  }
});

test("after a failed sync nothing is acknowledged any more, and what was is still read", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  const before = chunkOf(1);
  await store.put(before.image);
  fs.inject = (call) => (call.operation === "sync" && call.path.endsWith(".seg") ? "EIO" : undefined);
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("ReadOnly");
  fs.inject = undefined;
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("ReadOnly");
  expect(await codeOf(store.put(chunkOf(3).image))).toBe("ReadOnly");
  expect(store.info()).toMatchObject({ state: "ReadOnly", chunkCount: 1, freeBytes: 0 });
  expect(store.info().reason).toContain("EIO");
  expect(Buffer.compare((await store.get(keyOf(before.name), 0, 1)).bytes, before.data)).toBe(0);
  await store.close();
  const again = await openSimPool(fs);
  expect(again.info().state).toBe("Online");
  expect((await again.put(chunkOf(2).image)).alreadyThere).toBe(false);
  await again.close();
});

test("all members of a group that fails fail, and none of them is there", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  await store.put(chunkOf(1).image);
  fs.inject = (call) => (call.operation === "write" && call.bytes > 8192 ? "EIO" : undefined);
  const codes = await Promise.all([2, 3, 4, 5].map((no) => codeOf(store.put(chunkOf(no).image))));
  expect(codes.slice(1)).toEqual(["ReadOnly", "ReadOnly", "ReadOnly"]);
  for (const no of [3, 4, 5]) expect(store.has(chunkOf(no).name)).toBe(false);
  await store.close();
});

test("what reads back differently is not acknowledged", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  fs.inject = (call) => {
    if (call.operation === "sync" && call.path.endsWith("1.seg")) fs.flipBit(call.path, 4096 + 4096 + 5, 1);
    return undefined;
  };
  expect(await codeOf(store.put(chunkOf(1).image))).toBe("ChunkCorrupt");
  expect(store.has(chunkOf(1).name)).toBe(false);
  expect(store.info().state).toBe("ReadOnly");
  fs.inject = undefined;
  await store.close();
});

test("a full pool refuses puts with NoSpace, reads and deletes, and is Online again when there is space", async () => {
  const fs = simFs();
  fs.capacityBytes = 600 * 1024;
  const options = poolOptions(fs, seededPrng(1));
  const store = await openChunkStore({ ...options, limits: { ...options.limits, reserveBytes: 160 * 1024 } });
  await store.adopt(clusterUuid);
  const chunks = [];
  let code = "no error";
  for (let no = 0; no < 100 && code === "no error"; no++) {
    const chunk = chunkOf(no, { blocks: 3 });
    code = await codeOf(store.put(chunk.image));
    if (code === "no error") chunks.push(chunk);
  }
  expect(code).toBe("NoSpace");
  expect(chunks.length).toBeGreaterThan(10);
  expect(store.info()).toMatchObject({ state: "Full", freeBytes: 0 });
  for (const chunk of chunks) expect((await store.get(keyOf(chunk.name), 0, 3)).bytes.byteLength).toBe(12288);
  const names = chunks.slice(1).map((chunk) => chunk.name);
  expect((await store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names })).deleted).toBe(
    names.length,
  );
  expect((await store.compact()).removed.length).toBeGreaterThan(0);
  expect(store.info().state).toBe("Online");
  expect((await store.put(chunkOf(200).image)).alreadyThere).toBe(false);
  await store.close();
});

test("a medium that another fills up is Full while it lasts", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  await store.put(chunkOf(1).image);
  fs.capacityBytes = fs.usedBytes() + 5000;
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("NoSpace");
  expect(
    await codeOf(
      store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names: [chunkOf(1).name] }),
    ),
  ).toBe("no error");
  fs.capacityBytes = 2 ** 30;
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("no error");
  expect(store.info().state).toBe("Online");
  await store.close();
});

test("a pool directory that vanishes takes no more puts, although its open file could still be written", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  const chunk = chunkOf(1);
  await store.put(chunk.image);
  await fs.rename("/srv/pools/a", "/srv/pools/elsewhere");
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("Unavailable");
  expect(store.info().state).toBe("Failed");
  expect(store.info().reason).toContain("the medium is gone");
  // The open file is still there: reading goes on.
  expect(Buffer.compare((await store.get(keyOf(chunk.name), 0, 1)).bytes, chunk.data)).toBe(0);
  await store.close();
});

test("a file system that turns read-only stops writes and leaves reads", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  const chunk = chunkOf(1);
  await store.put(chunk.image);
  fs.readOnly = true;
  expect(await codeOf(store.put(chunkOf(2).image))).toBe("ReadOnly");
  expect(store.info().state).toBe("ReadOnly");
  expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
  expect((await store.list({ limit: 10 })).chunks).toHaveLength(1);
  await store.close();
});

test("a read that fails is Unavailable and `error`, not absent and not corrupt", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  const chunk = chunkOf(1);
  await store.put(chunk.image);
  fs.inject = (call) => (call.operation === "read" ? "EIO" : undefined);
  expect(await codeOf(store.get(keyOf(chunk.name), 0, 1))).toBe("Unavailable");
  expect((await store.verify(keyOf(chunk.name))).state).toBe("error");
  fs.inject = undefined;
  expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
  await store.close();
});

test("a segment file that somebody removed while the pool was closed is reported, and its chunks are absent", async () => {
  const fs = simFs();
  const first = await openSimPool(fs);
  const chunk = chunkOf(1);
  await first.put(chunk.image);
  await first.close();
  await fs.remove("/srv/pools/a/segments/000000000001.seg");
  const store = await openSimPool(fs);
  expect((await store.verify(keyOf(chunk.name))).state).toBe("absent");
  expect(store.stats().damage).toMatchObject([{ segmentId: 1, what: "segment is missing" }]);
  expect((await store.put(chunk.image)).alreadyThere).toBe(false);
  expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
  await store.close();
});

test("compaction leaves a segment whose live chunk does not verify, and takes it once the chunk was replaced", async () => {
  const fs = simFs();
  const store = await openSimPool(fs);
  for (let no = 0; no < 12; no++) await store.put(chunkOf(no, { blocks: 2 }).image);
  fs.flipBit("/srv/pools/a/segments/000000000001.seg", 4096 + 4096 + 100, 0);
  expect(await store.compact([1])).toMatchObject({ removed: [], left: [1] });
  expect(store.stats().damage.length).toBeGreaterThan(0);
  expect(await codeOf(store.get(keyOf(chunkOf(0).name), 0, 2))).toBe("ChunkCorrupt");
  expect((await store.put(chunkOf(0, { blocks: 2 }).image)).alreadyThere).toBe(false);
  expect(await store.compact([1])).toMatchObject({ removed: [1], left: [] });
  for (let no = 0; no < 12; no++) expect((await store.get(keyOf(chunkOf(no).name), 0, 2)).bytes.byteLength).toBe(8192);
  await store.close();
});
