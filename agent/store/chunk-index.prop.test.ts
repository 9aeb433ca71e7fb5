import { expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import fc from "fast-check";
import { formatName } from "./chunk-identity.ts";
import { ChunkIndex, type ChunkPlace } from "./chunk-index.ts";
import { keyOf } from "./testing/fixture.ts";

const volumes = ["aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee", "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeef"];
const name = fc.record({
  volumeUuid: fc.constantFrom(...volumes),
  stripe: fc.oneof(fc.nat(5), fc.constantFrom(2 ** 32, 2 ** 53 - 1)),
  shardIndex: fc.constantFrom(0, 1, 47),
  generation: fc.constantFrom(1, 0xffff_ffff),
  encodeEpoch: fc.constantFrom(2 ** 32, 2 ** 33, 2 ** 53 - 1),
  encodeAct: fc.nat(1),
  putEpoch: fc.constantFrom(2 ** 32, 2 ** 33),
  putAct: fc.nat(2),
});
const place = fc.record({
  segmentId: fc.integer({ min: 1, max: 0xffff_ffff }),
  offset: fc.nat(2 ** 18 - 1).map((units) => units * 4096),
  blockCount: fc.integer({ min: 1, max: 16384 }),
  tableCrc: fc.integer({ min: 0, max: 0xffff_ffff }),
  flags: fc.nat(31),
});

test("the index agrees with a map of names, whatever is added, moved and removed", () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(name, place, fc.nat(2)), { maxLength: 300 }), (steps) => {
      const index = new ChunkIndex();
      const model = new Map<string, ChunkPlace>();
      for (const [chunk, at, step] of steps) {
        const id = formatName(chunk);
        const row = index.findName(chunk);
        expect(row >= 0).toBe(model.has(id));
        if (row >= 0) expect(index.placeAt(row)).toEqual(model.get(id) as ChunkPlace);
        if (step === 0 && row >= 0) {
          index.remove(row);
          model.delete(id);
        } else if (row >= 0) {
          index.move(row, at);
          model.set(id, at);
        } else {
          expect(index.nameAt(index.add(chunk, at))).toEqual(chunk);
          model.set(id, at);
        }
        const copies = index.findKey(keyOf(chunk)).map((found) => formatName(index.nameAt(found)));
        const prefix = id.slice(0, id.lastIndexOf("/") + 1);
        expect(copies.sort()).toEqual([...model.keys()].filter((known) => known.startsWith(prefix)).sort());
      }
      expect(index.count).toBe(model.size);
      expect([...index.rows()].map((row) => formatName(index.nameAt(row))).sort()).toEqual([...model.keys()].sort());
    }),
    { numRuns: 200 },
  );
});

test("a chunk takes at most 48 bytes, at any number of them, and rows of removed ones are used again", () => {
  const index = new ChunkIndex();
  const prng = seededPrng(1);
  const nameOf = (no: number) => ({
    volumeUuid: volumes[no % 2] ?? "",
    stripe: Math.floor(no / 12),
    shardIndex: no % 6,
    generation: 1,
    encodeEpoch: 2 ** 32,
    encodeAct: no % 1000,
    putEpoch: 2 ** 32,
    putAct: 0,
  });
  const at = { segmentId: 1, offset: 4096, blockCount: 1, tableCrc: 0, flags: 0 };
  for (let no = 0; no < 300_000; no++) {
    index.add(nameOf(no), at);
    if (no > 50_000 && no % 1009 === 0) expect(index.memoryBytes / index.count).toBeLessThanOrEqual(48);
  }
  const before = index.memoryBytes;
  for (let round = 0; round < 100_000; round++) {
    const no = prng.below(300_000);
    const row = index.findName(nameOf(no));
    index.remove(row);
    index.add(nameOf(no), at);
  }
  expect(index.count).toBe(300_000);
  expect(index.memoryBytes).toBeLessThanOrEqual(before + 64);
  for (let no = 0; no < 300_000; no += 7) expect(index.findName(nameOf(no))).toBeGreaterThanOrEqual(0);
  expect(index.findName(nameOf(300_000))).toBe(-1);
});
