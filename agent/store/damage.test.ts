import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { PoolChunkStore } from "./pool-chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, openSimPool, poolOptions, type TestChunk } from "./testing/fixture.ts";

const segment = "/srv/pools/a/segments/000000000001.seg";
const snapshot = "/srv/pools/a/index.snapshot";

interface Closed {
  fs: SimFileSystem;
  chunks: TestChunk[];
  /** The segment's bytes: its header, chunks of 1, 2 and 1 blocks, the deletion of chunk 9, chunk 4. */
  bytes: Uint8Array;
}

/** A pool that was closed; chunk 9 is deleted in it. */
async function closedPool(): Promise<Closed> {
  const fs = new SimFileSystem({ prng: seededPrng(1) });
  const store = await openSimPool(fs);
  const chunks = [chunkOf(1), chunkOf(2, { blocks: 2 }), chunkOf(3), chunkOf(4)];
  const dead = chunkOf(9);
  await store.put(dead.image);
  for (const chunk of chunks.slice(0, 3)) await store.put(chunk.image);
  await store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names: [dead.name] });
  await store.put((chunks[3] as TestChunk).image);
  await store.close();
  const file = await fs.open(segment, "read");
  const bytes = new Uint8Array(await file.size());
  await file.read(bytes, 0);
  return { fs, chunks: [...chunks, dead], bytes };
}

async function replace(fs: SimFileSystem, path: string, bytes: Uint8Array): Promise<void> {
  await fs.remove(path);
  const file = await fs.open(path, "create-exclusive");
  await file.write([bytes], 0);
  await file.close();
}

async function stateOf(store: PoolChunkStore, chunk: TestChunk): Promise<string> {
  try {
    const { bytes } = await store.get(keyOf(chunk.name), 0, chunk.data.byteLength / 4096);
    return Buffer.compare(bytes, chunk.data) === 0 ? "ok" : "WRONG DATA";
  } catch (error) {
    return isAppError(error) ? error.code : String(error);
  }
}

/** Opens the pool with these bytes as its segment and no snapshot; the state of each chunk, then a put that must work. */
async function statesWith({ fs, chunks }: Closed, bytes: Uint8Array): Promise<string[]> {
  if (await fs.exists(snapshot)) await fs.remove(snapshot);
  await replace(fs, segment, bytes);
  for (const name of await fs.list("/srv/pools/a/segments")) {
    if (!name.endsWith("1.seg")) await fs.remove(`/srv/pools/a/segments/${name}`);
  }
  const store = await openChunkStore(poolOptions(fs, seededPrng(2)));
  const states = [];
  for (const chunk of chunks) states.push(await stateOf(store, chunk));
  await store.close();
  return states;
}

/** Where each record begins and its header and data end: the segment's header, chunks 9, 1, 2, 3, the deletion, chunk 4. */
const records = [
  { at: 0, header: 4096, end: 4096, chunk: -1 },
  { at: 4096, header: 8192, end: 12288, chunk: 4 },
  { at: 12288, header: 16384, end: 20480, chunk: 0 },
  { at: 20480, header: 24576, end: 32768, chunk: 1 },
  { at: 32768, header: 36864, end: 40960, chunk: 2 },
  { at: 40960, header: 45056, end: 45056, chunk: 5 },
  { at: 45056, header: 49152, end: 53248, chunk: 3 },
];

test("a segment cut short at any byte keeps every chunk that is whole", async () => {
  const pool = await closedPool();
  expect(pool.bytes.byteLength).toBe(53248);
  const edges = records.flatMap(({ at, header, end }) => [at, header, end]).flatMap((at) => [at - 1, at, at + 1]);
  const lengths = new Set([...edges, ...Array.from({ length: 53248 / 128 }, (_, i) => i * 128 + (i % 128))]);
  for (const length of lengths) {
    if (length < 0 || length > 53248) continue;
    const states = await statesWith(pool, pool.bytes.subarray(0, length));
    for (const { end, chunk } of records) {
      if (chunk < 0 || chunk > 3) continue;
      expect(`${length}: chunk ${chunk} ${states[chunk]}`).toBe(
        `${length}: chunk ${chunk} ${end <= length ? "ok" : "ChunkAbsent"}`,
      );
    }
    // Without its deletion, the chunk that was deleted is back: the file was cut behind the pool's back.
    expect(states[4]).toBe(length >= 45056 ? "ChunkAbsent" : length >= 12288 ? "ok" : "ChunkAbsent");
  }
}, 180_000);

test("a flipped bit anywhere in a segment costs its own record only", async () => {
  const pool = await closedPool();
  const positions = new Set<number>();
  for (const { at, header, end } of records) {
    for (let i = at; i < Math.min(at + 400, header); i++) positions.add(i);
    for (let i = at + 400; i < end; i += 61) positions.add(i);
  }
  for (const position of positions) {
    const bytes = pool.bytes.slice();
    bytes[position] = (bytes[position] ?? 0) ^ (1 << (position % 8));
    const states = await statesWith(pool, bytes);
    const hit = records.find(({ at, end }) => position >= at && position < end);
    for (const { chunk, header } of records) {
      if (chunk < 0 || chunk > 3) continue;
      const damaged = chunk === hit?.chunk ? (position < header ? "ChunkAbsent" : "ChunkCorrupt") : "ok";
      expect(`${position}: chunk ${chunk} ${states[chunk]}`).toBe(`${position}: chunk ${chunk} ${damaged}`);
    }
    if (hit?.chunk !== 5) expect(states[4]).toBe("ChunkAbsent");
  }
}, 180_000);

test("a damaged record is reported with its place", async () => {
  const pool = await closedPool();
  const bytes = pool.bytes.slice();
  bytes[20480 + 200] = (bytes[20480 + 200] ?? 0) ^ 1;
  await pool.fs.remove(snapshot);
  await replace(pool.fs, segment, bytes);
  const store = await openChunkStore(poolOptions(pool.fs, seededPrng(2)));
  expect(store.stats().damage).toEqual([{ segmentId: 1, fromOffset: 20480, toOffset: 32768, what: "no valid record" }]);
  await store.close();
});

test("a snapshot that is damaged in any byte, or cut short, is not used and nothing is lost", async () => {
  const { fs, chunks } = await closedPool();
  const file = await fs.open(snapshot, "read");
  const good = new Uint8Array(await file.size());
  await file.read(good, 0);
  const openWith = async (bytes: Uint8Array): Promise<string> => {
    await replace(fs, snapshot, bytes);
    const store = await openChunkStore(poolOptions(fs, seededPrng(2)));
    const states = [];
    for (const chunk of chunks) states.push(await stateOf(store, chunk));
    expect(states).toEqual(["ok", "ok", "ok", "ok", "ChunkAbsent"]);
    const { openedFrom } = store.stats();
    await store.close();
    return openedFrom;
  };
  expect(await openWith(good)).toBe("snapshot");
  for (let at = 0; at < good.byteLength; at++) {
    const bad = good.slice();
    bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
    expect(`${at} ${await openWith(bad)}`).toBe(`${at} scan`);
  }
  for (let length = 0; length < good.byteLength; length += 5)
    expect(await openWith(good.subarray(0, length))).toBe("scan");
}, 180_000);

test("an old snapshot is brought up to date by what is behind it, compaction and deletions included", async () => {
  const fs = new SimFileSystem({ prng: seededPrng(1) });
  const store = await openSimPool(fs);
  const chunks = Array.from({ length: 12 }, (_, no) => chunkOf(no, { blocks: 2 }));
  for (const chunk of chunks) await store.put(chunk.image);
  await store.snapshot();
  const gone = chunks.filter((_, no) => no % 2 === 1);
  const names = gone.map((chunk) => chunk.name);
  await store.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names });
  await store.compact(store.segmentIds().slice(0, -1));
  await store.put(chunkOf(50).image);
  fs.crash();
  const again = await openSimPool(fs);
  expect(again.stats().openedFrom).toBe("snapshot");
  for (const [no, chunk] of chunks.entries())
    expect(await stateOf(again, chunk)).toBe(no % 2 === 1 ? "ChunkAbsent" : "ok");
  expect(await stateOf(again, chunkOf(50))).toBe("ok");
  await again.close();
});

test("both superblocks damaged: the pool is refused and nothing is changed; one: it is mended", async () => {
  const { fs, chunks } = await closedPool();
  fs.flipBit("/srv/pools/a/superblock.0", 40, 1);
  const store = await openChunkStore(poolOptions(fs, seededPrng(2)));
  expect(store.info().clusterUuid).toBe(clusterUuid);
  await store.close();
  fs.flipBit("/srv/pools/a/superblock.1", 40, 1);
  const again = await openChunkStore(poolOptions(fs, seededPrng(2)));
  expect(await stateOf(again, chunks[0] as TestChunk)).toBe("ok");
  await again.close();
  for (const copy of [0, 1]) fs.flipBit(`/srv/pools/a/superblock.${copy}`, 40, 1);
  const before = await fs.list("/srv/pools/a");
  expect(openChunkStore(poolOptions(fs, seededPrng(2)))).rejects.toThrow(/both copies of the superblock are damaged/);
  expect(await fs.list("/srv/pools/a")).toEqual(before);
});
