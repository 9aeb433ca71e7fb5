import { expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, openSimPool, poolOptions } from "./testing/fixture.ts";

test("a queue that is full makes the next wait, and takes everything in the end", async () => {
  const fs = new SimFileSystem({ prng: seededPrng(1) });
  const options = poolOptions(fs, seededPrng(1));
  const limits = { ...options.limits, queuedBytesMax: 2 ** 20, groupBytesMax: 256 * 1024, segmentBytes: 2 ** 20 };
  const store = await openChunkStore({ ...options, limits });
  await store.adopt(clusterUuid);
  let most = 0;
  fs.inject = () => {
    most = Math.max(most, store.stats().queuedBytes);
    return undefined;
  };
  const chunks = Array.from({ length: 60 }, (_, no) => chunkOf(no, { blocks: 15 }));
  await Promise.all(chunks.map((chunk) => store.put(chunk.image)));
  expect(most).toBeGreaterThan(512 * 1024);
  expect(most).toBeLessThanOrEqual(2 ** 20);
  expect(store.info().chunkCount).toBe(60);
  await store.close();
});

test("a chunk longer than a segment gets a segment of its own", async () => {
  const fs = new SimFileSystem({ prng: seededPrng(1) });
  const store = await openSimPool(fs);
  const big = chunkOf(1, { blocks: 1000 });
  await store.put(chunkOf(0).image);
  await store.put(big.image);
  await store.put(chunkOf(2).image);
  const { bytes } = await store.get(keyOf(big.name), 990, 10);
  expect(Buffer.compare(bytes, big.data.subarray(990 * 4096))).toBe(0);
  expect(store.segmentIds()).toEqual([1, 2, 3]);
  await store.close();
  const again = await openSimPool(fs);
  expect((await again.verify(keyOf(big.name))).state).toBe("ok");
  await again.close();
});
