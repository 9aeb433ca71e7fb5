import { expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, openSimPool, poolOptions } from "./testing/fixture.ts";

test("readers, writers, deleters, listers and compaction at once: every answer is right", async () => {
  for (const seed of [1, 2, 3]) {
    const prng = seededPrng(seed);
    const fs = new SimFileSystem({ prng: seededPrng(seed) });
    const store = await openSimPool(fs);
    /** Each worker owns its numbers, so what it knows of them is certain; everybody compacts and lists. */
    const worker = async (own: number): Promise<void> => {
      const there = new Set<number>();
      for (let step = 0; step < 60; step++) {
        const no = own * 1000 + prng.below(12);
        const chunk = chunkOf(no, { blocks: 1 + (no % 3) });
        const choice = prng.below(10);
        if (choice < 4) {
          expect((await store.put(chunk.image)).alreadyThere).toBe(there.has(no));
          there.add(no);
        } else if (choice < 6) {
          const answer = await store.delete({
            orderedBy: { epoch: 1, actNo: 1 },
            reason: "garbage",
            names: [chunk.name],
          });
          expect(answer.deleted).toBe(there.delete(no) ? 1 : 0);
        } else if (choice < 9) {
          const blocks = await store.get(keyOf(chunk.name), 0, 1 + (no % 3)).catch((error: unknown) => error);
          if (there.has(no)) expect(Buffer.compare((blocks as { bytes: Uint8Array }).bytes, chunk.data)).toBe(0);
          else expect(isAppError(blocks, "ChunkAbsent")).toBe(true);
        } else if (own === 0) await store.compact(store.segmentIds().slice(0, -1));
        else await everythingListed(own, there);
      }
    };
    const everythingListed = async (own: number, there: Set<number>): Promise<void> => {
      const seen = new Set<number>();
      let after: string | undefined;
      do {
        const page = await store.list({ after, limit: 5, verify: true });
        for (const { info, state } of page.chunks) {
          expect(state).toBe("ok");
          seen.add(info.stripe);
        }
        after = page.next;
      } while (after);
      for (const no of there) expect(`worker ${own}: ${no} ${seen.has(no)}`).toBe(`worker ${own}: ${no} true`);
    };
    await Promise.all([0, 1, 2, 3, 4, 5].map(worker));
    await store.close();
  }
}, 30_000);

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

test("after close every call is refused", async () => {
  const store = await openSimPool(new SimFileSystem({ prng: seededPrng(1) }));
  await store.close();
  await store.close();
  for (const call of [
    () => store.put(chunkOf(1).image),
    () => store.get(keyOf(chunkOf(1).name), 0, 1),
    () => store.list({ limit: 1 }),
  ])
    expect(call()).rejects.toThrow(/is closed/);
});
