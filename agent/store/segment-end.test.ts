/**
 * Nothing is written behind the end of a segment: on a device the next segment lies there. The place of a group is found for its first operation,
 * which may turn out to have nothing to write.
 */
import { expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { MediumSpec } from "./pool-chunk-store.ts";
import { openFileBlockDevice } from "./testing/file-block-device.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions } from "./testing/fixture.ts";

const path = "/dev/disk";
const segmentBytes = 64 * 1024;

async function devicePool() {
  const fs = new SimFileSystem({ prng: seededPrng(3) });
  await fs.makeDirectory("/dev");
  const file = await fs.open(path, "create-exclusive");
  await file.truncate(2 ** 20 + 60 * segmentBytes + 4096);
  await file.close();
  const medium: MediumSpec = { kind: "block", path, open: () => openFileBlockDevice(fs, path) };
  const open = () => openChunkStore({ ...poolOptions(fs, seededPrng(5)), medium });
  return { fs, open };
}

test("a put that turns out to be done already does not let a longer one behind it pass the segment's end", async () => {
  const { open } = await devicePool();
  const store = await open();
  await store.adopt(clusterUuid);
  // A record of 1 block takes two, header included. Of the segment's 16 blocks 1 is the header: behind these and one more, 3 are left.
  const small = Array.from({ length: 5 }, (_, no) => chunkOf(no, { blocks: 1 }));
  for (const { image } of small) await store.put(image);
  const twice = chunkOf(50, { blocks: 1 });
  const large = chunkOf(100, { blocks: 6 });
  // The second put of one name waits for the first, begins the next group, fits into what is left, and writes nothing; the third does not fit.
  const answers = await Promise.all([twice, twice, large].map(({ image }) => store.put(image)));
  expect(answers.map(({ alreadyThere }) => alreadyThere)).toEqual([false, true, false]);
  expect(store.segmentIds()).toHaveLength(2);
  const all = [...small, twice, large];
  for (const chunk of all) expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
  await store.close();
  const again = await open();
  expect(again.stats().damage).toEqual([]);
  for (const chunk of all) expect((await again.verify(keyOf(chunk.name))).state).toBe("ok");
  await again.close();
});

test("groups of old and new chunks in every order never reach over a segment's end", async () => {
  const { open } = await devicePool();
  const store = await open();
  await store.adopt(clusterUuid);
  const prng = seededPrng(21);
  const known = new Set<number>();
  for (let round = 0; round < 30; round++) {
    const nos = Array.from({ length: 8 }, () => round * 2 + prng.below(4));
    await Promise.all(nos.map((no) => store.put(chunkOf(no, { blocks: 1 + (no % 7) }).image)));
    for (const no of nos) known.add(no);
  }
  for (const no of known)
    expect((await store.verify(keyOf(chunkOf(no, { blocks: 1 + (no % 7) }).name))).state).toBe("ok");
  await store.close();
});
