import { expect, test } from "bun:test";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { BlockDevice } from "./medium.ts";
import type { MediumSpec } from "./pool-chunk-store.ts";
import { readAround } from "./read-around.ts";
import { openFileBlockDevice } from "./testing/file-block-device.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions } from "./testing/fixture.ts";

const content = seededPrng(1).bytes(10 * 4096 + 100);

/** Reads of `content` that fail where they touch one of these blocks. */
function readerWith(bad: readonly number[], code = "ENODATA") {
  let reads = 0;
  return {
    reads: () => reads,
    read: async (into: Uint8Array, offset: number) => {
      reads++;
      const end = Math.min(content.byteLength, offset + into.byteLength);
      if (bad.some((block) => block * 4096 < end && (block + 1) * 4096 > offset))
        throw new FileSystemError(code, "read", "x");
      into.set(content.subarray(offset, end));
      return end - offset;
    },
  };
}

test("a bad block costs itself alone, also from an offset within a block, and is never zeros", async () => {
  for (const offset of [0, 100, 4096]) {
    const into = new Uint8Array(8 * 4096);
    const got = await readAround(readerWith([3]).read, into, offset, 8);
    expect(got).toEqual({ count: into.byteLength, unreadableBlocks: 1 });
    const expected = content.slice();
    expected.fill(0xff, 3 * 4096, 4 * 4096);
    expect(Buffer.compare(into, expected.subarray(offset, offset + into.byteLength))).toBe(0);
  }
});

test("the end is the end, and without bad blocks there is one read", async () => {
  const { read, reads } = readerWith([]);
  const got = await readAround(read, new Uint8Array(20 * 4096), 4096, 8);
  expect([got.count, got.unreadableBlocks, reads()]).toEqual([content.byteLength - 4096, 0, 1]);
  const around = await readAround(readerWith([2]).read, new Uint8Array(20 * 4096), 4096, 8);
  expect([around.count, around.unreadableBlocks]).toEqual([content.byteLength - 4096, 1]);
});

test("a medium with too many bad blocks, and one that is gone, are errors", async () => {
  const all = [0, 1, 2, 3, 4, 5, 6, 7];
  await expect(readAround(readerWith(all).read, new Uint8Array(8 * 4096), 0, 4)).rejects.toThrow("ENODATA");
  await expect(readAround(readerWith([1], "ENODEV").read, new Uint8Array(8 * 4096), 0, 4)).rejects.toThrow("ENODEV");
});

const path = "/dev/disk";
const segmentBytes = 64 * 1024;
const slotsAt = 2 ** 20;

/** A pool on a simulated device of 12 slots, with what opens it again. */
async function devicePool() {
  const fs = new SimFileSystem({ prng: seededPrng(3) });
  await fs.makeDirectory("/dev");
  const file = await fs.open(path, "create-exclusive");
  await file.truncate(slotsAt + 12 * segmentBytes + 4096);
  await file.close();
  let isBad = (_block: number): boolean => false;
  const openDevice = async (): Promise<BlockDevice> => {
    const device = await openFileBlockDevice(fs, path);
    const read = async (into: Uint8Array, offset: number) => {
      for (let at = offset; at < offset + into.byteLength; at += 4096)
        if (isBad(Math.floor(at / 4096))) throw new FileSystemError("EIO", "read", path);
      await device.read(into, offset);
    };
    return { ...device, read };
  };
  const medium: MediumSpec = { kind: "block", path, open: openDevice };
  const open = async () => {
    const store = await openChunkStore({ ...poolOptions(fs, seededPrng(5)), medium });
    await store.adopt(clusterUuid);
    return store;
  };
  /** Blocks of the device that can't be read from now on. */
  const bad = (...blocks: number[]) => {
    isBad = (block) => blocks.includes(block);
  };
  const allBad = () => {
    isBad = () => true;
  };
  return { open, bad, allBad };
}

const blockOf = (offset: number): number => offset / 4096;

test("a pool with a bad block opens: all but the chunk in it is there, and it is not compacted away, for the block may be read again", async () => {
  // The header of the second record of the first segment; alone, and with the header of the segment, at whose damage the segment begins.
  for (const blocks of [[3], [0, 3]]) await expectKept(blocks);
});

async function expectKept(blocks: readonly number[]): Promise<void> {
  const { open, bad } = await devicePool();
  const first = await open();
  const chunks = Array.from({ length: 10 }, (_, no) => chunkOf(no));
  for (const { image } of chunks) await first.put(image);
  await first.close();
  bad(...blocks.map((block) => blockOf(slotsAt) + block));
  const second = await open();
  const states = await Promise.all(chunks.map(async ({ name }) => (await second.verify(keyOf(name))).state));
  expect(states.filter((state) => state === "ok")).toHaveLength(9);
  expect(second.stats().damage).toContainEqual(expect.objectContaining({ what: "blocks that can't be read" }));
  const names = chunks.filter((_, i) => states[i] === "ok").map(({ name }) => name);
  await second.delete({ orderedBy: { epoch: 2 ** 33, actNo: 1 }, reason: "garbage", names });
  const [hurt] = second.segmentIds();
  expect((await second.compact(second.segmentIds())).left).toContain(hurt as number);
  await second.close();
  bad();
  const third = await open();
  const back = chunks.filter((_, i) => states[i] !== "ok");
  for (const { name } of back) expect((await third.verify(keyOf(name))).state).toBe("ok");
  await third.close();
}

test("either superblock, or the first header of a segment, may be unreadable", async () => {
  const { open, bad } = await devicePool();
  const store = await open();
  const { poolUuid } = store;
  const chunk = chunkOf(1);
  await store.put(chunk.image);
  await store.close();
  for (const block of [0, blockOf(slotsAt + 12 * segmentBytes), blockOf(slotsAt)]) {
    bad(block);
    const again = await open();
    expect([block, again.poolUuid]).toEqual([block, poolUuid]);
    expect((await again.verify(keyOf(chunk.name))).state).toBe("ok");
    await again.close();
  }
});

test("a slot of which nothing is known for sure is not taken for free", async () => {
  const { open, bad } = await devicePool();
  const store = await open();
  const chunk = chunkOf(1);
  await store.put(chunk.image);
  await store.close();
  // All of the only chunk's segment that was ever written.
  const lost = Array.from({ length: 6 }, (_, i) => blockOf(slotsAt) + i);
  bad(...lost);
  const second = await open();
  expect((await second.verify(keyOf(chunk.name))).state).toBe("absent");
  for (let no = 10; no < 20; no++) await second.put(chunkOf(no, { blocks: 3 }).image);
  await second.close();
  bad();
  const third = await open();
  expect((await third.verify(keyOf(chunk.name))).state).toBe("ok");
  await third.close();
});

test("a device that can't be read at all is not opened as an empty pool", async () => {
  const { open, allBad } = await devicePool();
  const store = await open();
  for (let no = 0; no < 4; no++) await store.put(chunkOf(no).image);
  await store.close();
  allBad();
  await expect(open()).rejects.toThrow("EIO");
});
