import { describe, expect, test } from "bun:test";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { openChunkStore } from "./chunk-store.ts";
import { chunkOf, clusterUuid, dataOf, fieldsOf, keyOf, openSimPool, poolOptions } from "./testing/fixture.ts";

const simFs = (seed = 1): SimFileSystem => new SimFileSystem({ prng: seededPrng(seed) });
const deletion = (names: ReturnType<typeof chunkOf>["name"][]) => ({
  orderedBy: { epoch: 2 ** 33, actNo: 1 },
  reason: "superseded" as const,
  names,
});

async function codeOf(run: Promise<unknown>): Promise<string> {
  try {
    await run;
    return "no error";
  } catch (error) {
    return isAppError(error) ? error.code : String(error);
  }
}

describe("put, get, delete", () => {
  test("a range outside the chunk is InvalidArgument and an absent chunk is ChunkAbsent, never zeros", async () => {
    const store = await openSimPool(simFs());
    const chunk = chunkOf(1, { blocks: 2 });
    await store.put(chunk.image);
    for (const [first, count] of [
      [2, 1],
      [0, 3],
      [-1, 1],
      [0, 0],
      [0.5, 1],
    ] as const)
      expect(await codeOf(store.get(keyOf(chunk.name), first, count))).toBe("InvalidArgument");
    expect(await codeOf(store.get(keyOf(chunkOf(2).name), 0, 1))).toBe("ChunkAbsent");
    await store.close();
  });

  test("the same put again is done already; other content under the name is NameReused and changes nothing", async () => {
    const store = await openSimPool(simFs());
    const chunk = chunkOf(1, { blocks: 2 });
    await store.put(chunk.image);
    expect((await store.put(chunk.image)).alreadyThere).toBe(true);
    expect(await codeOf(store.put(chunkOf(1, { blocks: 2, seed: 99 }).image))).toBe("NameReused");
    expect(await codeOf(store.put(chunkOf(1, { blocks: 3 }).image))).toBe("NameReused");
    expect(await codeOf(store.put(chunkOf(1, { blocks: 2, over: { throughSeq: 13 } }).image))).toBe("NameReused");
    expect(Buffer.compare((await store.get(keyOf(chunk.name), 0, 2)).bytes, chunk.data)).toBe(0);
    expect(store.info().chunkCount).toBe(1);
    await store.close();
  });

  test("an image that is damaged anywhere, cut short or of another cluster is refused before anything is written", async () => {
    const fs = simFs();
    const store = await openSimPool(fs);
    const { image } = chunkOf(1, { blocks: 2 });
    const used = fs.usedBytes();
    for (const at of [0, 9, 100, 400, 4095, 4096, image.byteLength - 1]) {
      const bad = image.slice();
      bad[at] = (bad[at] ?? 0) ^ 4;
      expect(await codeOf(store.put(bad))).toBe("InvalidArgument");
    }
    expect(await codeOf(store.put(image.subarray(0, image.byteLength - 4096)))).toBe("InvalidArgument");
    expect(await codeOf(store.put(image.subarray(0, 100)))).toBe("InvalidArgument");
    expect(await codeOf(store.put(new Uint8Array(0)))).toBe("InvalidArgument");
    const foreign = chunkOf(1, { over: { clusterUuid: "00000000-2222-4333-8444-555555555555" } });
    expect(await codeOf(store.put(foreign.image))).toBe("WrongCluster");
    expect(fs.usedBytes()).toBe(used);
    await store.close();
  });
});

describe("opening", () => {
  test("everything is there again after a close, from the snapshot", async () => {
    const fs = simFs();
    const store = await openSimPool(fs);
    const chunks = Array.from({ length: 40 }, (_, i) => chunkOf(i, { blocks: 1 + (i % 4) }));
    await Promise.all(chunks.map((chunk) => store.put(chunk.image)));
    await store.delete(deletion([chunks[3]?.name ?? chunkOf(3).name]));
    await store.close();
    const again = await openSimPool(fs);
    expect(again.stats()).toMatchObject({ openedFrom: "snapshot", scannedSegments: 0 });
    expect(again.info().chunkCount).toBe(39);
    for (const [i, chunk] of chunks.entries()) {
      if (i === 3) expect(again.has(chunk.name)).toBe(false);
      else expect(Buffer.compare((await again.get(keyOf(chunk.name), 0, 1 + (i % 4))).bytes, chunk.data)).toBe(0);
    }
    await again.close();
  });

  test("a second opener is refused by the lock", async () => {
    const fs = simFs();
    const store = await openSimPool(fs);
    expect(await codeOf(openSimPool(fs))).toBe("Unavailable");
    await store.close();
    await (await openSimPool(fs)).close();
  });

  test("a directory that holds something else is refused and left alone", async () => {
    const fs = simFs();
    await fs.makeDirectory("/srv/pools/a");
    const file = await fs.open("/srv/pools/a/letter.txt", "create-exclusive");
    await file.write([dataOf(1, 1)], 0);
    expect(await codeOf(openSimPool(fs))).toBe("FailedPrecondition");
    expect((await fs.list("/srv/pools/a")).filter((name) => name !== "LOCK")).toEqual(["letter.txt"]);
  });

  test("a pool belongs to one cluster for ever", async () => {
    const fs = simFs();
    const store = await openChunkStore(poolOptions(fs, seededPrng(1)));
    expect(await codeOf(store.put(chunkOf(1).image))).toBe("WrongCluster");
    await store.adopt(clusterUuid);
    await store.adopt(clusterUuid);
    expect(await codeOf(store.adopt("00000000-2222-4333-8444-555555555555"))).toBe("WrongCluster");
    expect(await codeOf(store.adopt("nonsense"))).toBe("InvalidArgument");
    await store.close();
    const again = await openChunkStore(poolOptions(fs, seededPrng(2)));
    expect(again.info().clusterUuid).toBe(clusterUuid);
    await again.close();
  });
});

describe("list and verify", () => {
  test("pages cover every chunk once, in a stable order, while others are put", async () => {
    const store = await openSimPool(simFs());
    for (let i = 0; i < 30; i++) await store.put(chunkOf(i).image);
    const seen: number[] = [];
    let after: string | undefined;
    for (let page = 0; ; page++) {
      const answer = await store.list({ after, limit: 7, verify: page % 2 === 0 });
      for (const { info, state } of answer.chunks) {
        seen.push(info.stripe);
        expect(state).toBe(page % 2 === 0 ? "ok" : undefined);
      }
      await store.put(chunkOf(1000 + page).image);
      if (!answer.next) break;
      after = answer.next;
    }
    expect(seen.filter((stripe) => stripe < 1000)).toEqual(Array.from({ length: 30 }, (_, i) => i));
    expect(await codeOf(store.list({ limit: 0 }))).toBe("InvalidArgument");
    expect(await codeOf(store.list({ after: "x", limit: 1 }))).toBe("InvalidArgument");
    await store.close();
  });

  test("a flipped bit in the data is corrupt, never data; putting the chunk again heals it", async () => {
    const fs = simFs();
    const store = await openSimPool(fs);
    const chunk = chunkOf(1, { blocks: 3 });
    await store.put(chunk.image);
    expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
    fs.flipBit("/srv/pools/a/segments/000000000001.seg", 4096 + 4096 + 4096 + 17, 3);
    expect(await codeOf(store.get(keyOf(chunk.name), 0, 3))).toBe("ChunkCorrupt");
    expect(await codeOf(store.get(keyOf(chunk.name), 1, 1))).toBe("ChunkCorrupt");
    expect(Buffer.compare((await store.get(keyOf(chunk.name), 2, 1)).bytes, chunk.data.subarray(8192))).toBe(0);
    const verified = await store.verify(keyOf(chunk.name));
    expect(verified.state).toBe("corrupt");
    expect(verified.info?.volumeName).toBe(fieldsOf(1).volumeName);
    expect((await store.list({ limit: 5, verify: true })).chunks.map((entry) => entry.state)).toEqual(["corrupt"]);
    expect((await store.put(chunk.image)).alreadyThere).toBe(false);
    expect((await store.verify(keyOf(chunk.name))).state).toBe("ok");
    expect(Buffer.compare((await store.get(keyOf(chunk.name), 0, 3)).bytes, chunk.data)).toBe(0);
    expect((await store.verify(keyOf(chunkOf(2).name))).state).toBe("absent");
    expect((await store.verify(chunk.name)).state).toBe("ok");
    expect((await store.verify({ ...chunk.name, putAct: chunk.name.putAct + 1 })).state).toBe("absent");
    await store.close();
  });
});
