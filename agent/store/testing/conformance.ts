/**
 * What every chunk store must do, whatever its chunks lie on: the suite that each medium runs. A medium is given as what opens it, again and again,
 * as one process after another would.
 */
import { describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { openChunkStore } from "../chunk-store.ts";
import type { ChunkStoreOptions, PoolChunkStore } from "../pool-chunk-store.ts";
import { conformConcurrency } from "./conformance-concurrency.ts";
import { chunkOf, clusterUuid, keyOf, type TestChunk } from "./fixture.ts";
import type { MediumUnderTest, WithStore } from "./medium-under-test.ts";

export interface ConformanceOptions {
  name: string;
  make(): Promise<MediumUnderTest>;
  /** How many blocks a chunk has that fills the medium fast: about a tenth of a segment. */
  bigBlocks: number;
  /** Of the tests that write a lot. */
  timeoutMs?: number;
}

/** The error's code, or "no error". */
async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: unknown) => (isAppError(error) ? error.code : String(error)),
  );
}

const deletionOf = (chunks: readonly TestChunk[]) => ({
  orderedBy: { epoch: 2 ** 33, actNo: 1 },
  reason: "superseded" as const,
  names: chunks.map(({ name }) => name),
});

/** Whether the store gives the chunk back, byte for byte. */
export async function expectWhole(store: PoolChunkStore, chunk: TestChunk): Promise<void> {
  const { bytes } = await store.get(keyOf(chunk.name), 0, chunk.data.byteLength / 4096);
  if (Buffer.compare(bytes, chunk.data) !== 0) throw new Error(`chunk ${chunk.name.stripe}: wrong data`);
}

/** Opens the pool, bound to the cluster. */
async function openUnderTest(medium: MediumUnderTest): Promise<PoolChunkStore> {
  const store = await openChunkStore(medium.options());
  await store.adopt(clusterUuid);
  return store;
}

/** Runs the suite. */
export function conformChunkStore(options: ConformanceOptions): void {
  const { name, make, timeoutMs = 30_000 } = options;
  const within = (run: (medium: MediumUnderTest) => Promise<void>) => async (): Promise<void> => {
    const medium = await make();
    try {
      await run(medium);
    } finally {
      await medium.dispose();
    }
  };
  const withStore = (run: (store: PoolChunkStore, medium: MediumUnderTest) => Promise<void>) =>
    within(async (medium) => {
      const store = await openUnderTest(medium);
      try {
        await run(store, medium);
      } finally {
        await store.close();
      }
    });
  describe(`chunk store on ${name}`, () => {
    answers(withStore, timeoutMs);
    lives(within, options, timeoutMs);
    conformConcurrency(withStore, timeoutMs);
  });
}

function answers(withStore: WithStore, timeoutMs: number): void {
  test(
    "a chunk comes back as it was put, whole and in ranges",
    withStore(async (store) => {
      const chunk = chunkOf(1, { blocks: 5 });
      expect((await store.put(chunk.image)).alreadyThere).toBe(false);
      await expectWhole(store, chunk);
      const part = await store.get(keyOf(chunk.name), 2, 2);
      expect(Buffer.compare(part.bytes, chunk.data.subarray(2 * 4096, 4 * 4096))).toBe(0);
      expect(store.info()).toMatchObject({ state: "Online", chunkCount: 1, liveBytes: 6 * 4096, clusterUuid });
    }),
    timeoutMs,
  );

  test(
    "a range outside the chunk is InvalidArgument and an absent chunk is ChunkAbsent, never zeros",
    withStore(async (store) => {
      const chunk = chunkOf(1, { blocks: 2 });
      await store.put(chunk.image);
      for (const [first, count] of [
        [2, 1],
        [0, 3],
        [-1, 1],
        [0, 0],
      ] as const)
        expect(await codeOf(store.get(keyOf(chunk.name), first, count))).toBe("InvalidArgument");
      expect(await codeOf(store.get(keyOf(chunkOf(2).name), 0, 1))).toBe("ChunkAbsent");
    }),
    timeoutMs,
  );

  test(
    "the same put again is done already; other content under the name is NameReused and changes nothing",
    withStore(async (store) => {
      const chunk = chunkOf(1, { blocks: 2 });
      await store.put(chunk.image);
      expect((await store.put(chunk.image)).alreadyThere).toBe(true);
      expect(await codeOf(store.put(chunkOf(1, { blocks: 2, seed: 99 }).image))).toBe("NameReused");
      await expectWhole(store, chunk);
      expect(store.info().chunkCount).toBe(1);
    }),
    timeoutMs,
  );

  test(
    "copies of one shard by two acts are two chunks; deleting one by its full name leaves the other",
    withStore(async (store) => {
      const first = chunkOf(1);
      const second = chunkOf(1, { over: { putAct: 5 } });
      await store.put(first.image);
      await store.put(second.image);
      expect(await store.delete(deletionOf([first]))).toEqual({ deleted: 1, absent: 0 });
      await expectWhole(store, second);
      expect(await store.delete(deletionOf([first]))).toEqual({ deleted: 0, absent: 1 });
      expect(await store.delete(deletionOf([second, second]))).toEqual({ deleted: 1, absent: 1 });
      expect(await codeOf(store.get(keyOf(second.name), 0, 1))).toBe("ChunkAbsent");
    }),
    timeoutMs,
  );

  test(
    "a flipped bit is corrupt, never data; putting the chunk again heals it",
    withStore(async (store, medium) => {
      if (!medium.flipBit) return;
      const chunk = chunkOf(1, { blocks: 3 });
      await store.put(chunk.image);
      const [segmentId = 0] = store.segmentIds();
      await medium.flipBit(segmentId, 4096 + 4096 + 4096 + 17, 3);
      expect(await codeOf(store.get(keyOf(chunk.name), 0, 3))).toBe("ChunkCorrupt");
      expect((await store.verify(keyOf(chunk.name))).state).toBe("corrupt");
      expect((await store.put(chunk.image)).alreadyThere).toBe(false);
      expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
      await expectWhole(store, chunk);
    }),
    timeoutMs,
  );
}

function lives(
  within: (run: (medium: MediumUnderTest) => Promise<void>) => () => Promise<void>,
  { bigBlocks }: ConformanceOptions,
  timeoutMs: number,
): void {
  test(
    "everything is there again after a close, what was deleted is not, and damage is reported nowhere",
    within(async (medium) => {
      const store = await openUnderTest(medium);
      const chunks = Array.from({ length: 40 }, (_, i) => chunkOf(i, { blocks: 1 + (i % 4) }));
      await Promise.all(chunks.map((chunk) => store.put(chunk.image)));
      await store.delete(deletionOf(chunks.slice(0, 1)));
      await store.close();
      for (let life = 0; life < 3; life++) {
        const again = await openUnderTest(medium);
        expect(again.info().chunkCount).toBe(39 + life);
        expect(again.stats().damage).toEqual([]);
        expect(again.has(chunkOf(0).name)).toBe(false);
        for (const chunk of chunks.slice(1)) await expectWhole(again, chunk);
        await again.put(chunkOf(100 + life).image);
        await again.close();
      }
    }),
    timeoutMs,
  );

  test(
    "a second opener is refused while the pool is open; a pool belongs to one cluster for ever",
    within(async (medium) => {
      const store = await openChunkStore(medium.options());
      expect(await codeOf(openChunkStore(medium.options()))).toBe("Unavailable");
      expect(await codeOf(store.put(chunkOf(1).image))).toBe("WrongCluster");
      await store.adopt(clusterUuid);
      expect(await codeOf(store.adopt("00000000-2222-4333-8444-555555555555"))).toBe("WrongCluster");
      await store.close();
      const again = await openChunkStore(medium.options());
      expect(again.info().clusterUuid).toBe(clusterUuid);
      await again.close();
    }),
    timeoutMs,
  );

  test(
    "segments are emptied by compaction and used again, and nothing of before is taken for new",
    within(async (medium) => {
      let store = await openUnderTest(medium);
      for (let round = 0; round < 6; round++) {
        const chunks = Array.from({ length: 14 }, (_, i) => chunkOf(round * 100 + i, { blocks: bigBlocks }));
        for (let i = 0; i < chunks.length; i += 7)
          await Promise.all(chunks.slice(i, i + 7).map((chunk) => store.put(chunk.image)));
        await store.delete(deletionOf(chunks.slice(1)));
        await store.compact(store.segmentIds().slice(0, -1));
        if (round % 2 === 1) {
          await store.close();
          store = await openUnderTest(medium);
          expect(store.stats().damage).toEqual([]);
        }
        expect(store.info().chunkCount).toBe(round + 1);
        for (let old = 0; old <= round; old++) await expectWhole(store, chunkOf(old * 100, { blocks: bigBlocks }));
      }
      await store.close();
    }),
    timeoutMs,
  );

  test(
    "a full pool answers NoSpace, is read and deleted from, and takes puts again after compaction",
    within(async (medium) => {
      const options = medium.options();
      const open = () => openChunkStore({ ...options, limits: { ...options.limits, reserveBytes: undefined } });
      const store = await open();
      await store.adopt(clusterUuid);
      const chunks: TestChunk[] = [];
      let code = "no error";
      for (let no = 0; no < 10_000 && code === "no error"; no++) {
        const chunk = chunkOf(no, { blocks: bigBlocks, seed: 1 });
        code = await codeOf(store.put(chunk.image));
        if (code === "no error") chunks.push(chunk);
      }
      expect(code).toBe("NoSpace");
      expect(store.info()).toMatchObject({ state: "Full", freeBytes: 0 });
      for (const chunk of chunks.filter((_, i) => i % 7 === 0)) await expectWhole(store, chunk);
      await store.delete(deletionOf(chunks.slice(1, 100)));
      await store.delete(deletionOf(chunks.slice(100)));
      expect((await store.compact()).removed.length).toBeGreaterThan(0);
      expect(store.info().state).toBe("Online");
      expect((await store.put(chunkOf(20_000, { blocks: bigBlocks }).image)).alreadyThere).toBe(false);
      await store.close();
      const again = await openUnderTest(medium);
      expect(again.info().chunkCount).toBe(2);
      await expectWhole(again, chunks[0] as TestChunk);
      await again.close();
    }),
    4 * timeoutMs,
  );

  test(
    "after close every call is refused",
    within(async (medium) => {
      const store = await openUnderTest(medium);
      await store.close();
      await store.close();
      for (const call of [
        () => store.put(chunkOf(1).image),
        () => store.get(keyOf(chunkOf(1).name), 0, 1),
        () => store.list({ limit: 1 }),
      ])
        await expect(call()).rejects.toThrow(/is closed/);
    }),
    timeoutMs,
  );
}

/** Options that are the same for every medium: nothing by itself, small groups. */
export function plainOptions(
  over: Pick<ChunkStoreOptions, "medium" | "fileSystem" | "checksum" | "clock"> & Partial<ChunkStoreOptions>,
): ChunkStoreOptions {
  return {
    poolName: "a",
    nodeName: "n1",
    labels: {},
    prng: seededPrng(5),
    limits: { segmentBytes: 64 * 1024, maintenanceEveryMs: 0, reserveBytes: 0 },
    ...over,
  };
}
