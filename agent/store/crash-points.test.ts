import { describe, expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimCall } from "@couchestor/common/testing/sim-fault.ts";
import { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import type { PoolChunkStore } from "./pool-chunk-store.ts";
import { Model, open, put, remove, violations } from "./testing/crash-workload.ts";

const isSegment = (call: SimCall): boolean => call.path.endsWith(".seg");
const folderSync = (call: SimCall): boolean => call.operation === "sync-directory" && call.path.endsWith("/segments");
/** Matches from the first call that `first` matches on. */
const from = (first: (call: SimCall) => boolean, then: (call: SimCall) => boolean) => {
  let begun = false;
  return (call: SimCall): boolean => {
    if (begun) return then(call);
    begun = first(call);
    return false;
  };
};

interface Point {
  name: string;
  /** The call at which the machine stops. */
  at: () => (call: SimCall) => boolean;
  /** What is under way then; chunks 0 to 3 were acknowledged before, of which 1 deleted. */
  during: (store: PoolChunkStore, model: Model) => Promise<unknown>;
}

const putMany = (store: PoolChunkStore, model: Model) => Promise.all([10, 11, 12].map((no) => put(store, model, no)));
const roll = async (store: PoolChunkStore, model: Model): Promise<void> => {
  for (let no = 20; no < 30; no++) await put(store, model, no);
};
const compact = async (store: PoolChunkStore, model: Model): Promise<void> => {
  await roll(store, model);
  await store.compact([1]);
  await put(store, model, 40);
};
const created = (call: SimCall): boolean => call.operation === "open" && call.path.endsWith("2.seg");
const removed = (call: SimCall): boolean => call.operation === "remove" && call.path.endsWith("1.seg");

const points: Point[] = [
  {
    name: "C1 before the write",
    at: () => (call) => call.operation === "space",
    during: async (store, model) => {
      await store.compact([]);
      await putMany(store, model);
    },
  },
  {
    name: "C2 in the midst of the write",
    at: () => (call) => call.operation === "write" && isSegment(call),
    during: putMany,
  },
  { name: "C3 written, not synced", at: () => (call) => call.operation === "sync" && isSegment(call), during: putMany },
  {
    name: "C4 synced, not read back",
    at: () => (call) => call.operation === "exists" && isSegment(call),
    during: putMany,
  },
  { name: "C5 new segment made, its name not durable", at: () => from(created, folderSync), during: roll },
  {
    name: "C6 new segment's name durable, nothing in it",
    at: () =>
      from(
        (call) => created(call),
        from(folderSync, (call) => call.operation === "write" && isSegment(call)),
      ),
    during: roll,
  },
  {
    name: "K1 some chunks copied",
    at: () =>
      from(
        (call) => call.operation === "drop-cache",
        (call) => call.operation === "sync" && isSegment(call),
      ),
    during: compact,
  },
  { name: "K2 all copied, the segment still there", at: () => removed, during: compact },
  { name: "K3 removed, the removal not durable", at: () => from(removed, folderSync), during: compact },
  {
    name: "K4 removed",
    at: () =>
      from(
        removed,
        from(folderSync, () => true),
      ),
    during: compact,
  },
];

describe("a stop at each named point of the write path and of compaction loses nothing:", () => {
  for (const point of points) {
    test(point.name, async () => {
      for (let seed = 1; seed <= 25; seed++) {
        const fs = new SimFileSystem({ prng: seededPrng(seed) });
        const model = new Model();
        const store = await open(fs, model);
        for (const no of [0, 1, 2, 3]) await put(store, model, no);
        await remove(store, model, [1]);
        const at = point.at();
        fs.inject = (call) => (at(call) ? "crash" : undefined);
        await expect(point.during(store, model)).rejects.toThrow();
        expect(fs.crashed).toBe(true);
        fs.inject = undefined;
        fs.crash();
        expect(await violations(fs, model)).toEqual([]);
        // Asked again, everything goes through.
        const again = await open(fs, model);
        await Promise.all([10, 11, 12].map((no) => put(again, model, no)));
        await again.close();
        expect(await violations(fs, model)).toEqual([]);
      }
    });
  }
});
