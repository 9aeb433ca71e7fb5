import { expect, test } from "bun:test";
import { codeSchema, shardCount } from "@couchestor/common/code/code.ts";
import fc from "fast-check";
import { chunkHeaderBytes, decodeChunkHeader, encodeChunk } from "./chunk-format.ts";
import { checksum, dataOf } from "./testing/fixture.ts";

const u32 = fc.integer({ min: 0, max: 0xffff_ffff });
const u53 = fc.maxSafeNat();
const uuid = fc.uuid().map((text) => text.toLowerCase());
const code = fc
  .oneof(
    fc.record({
      family: fc.constant("rs" as const),
      k: fc.integer({ min: 1, max: 32 }),
      m: fc.integer({ min: 1, max: 16 }),
    }),
    fc.constant({ family: "lrc" as const, k: 12, l: 2, g: 2 }),
    fc.record({ family: fc.constant("replica" as const), n: fc.integer({ min: 1, max: 17 }) }),
  )
  .filter((value) => codeSchema.safeParse(value).success);

test("every field of a chunk comes back as it was given", () => {
  const fields = fc.record({
    volumeUuid: uuid,
    clusterUuid: uuid,
    journalId: uuid,
    poolUuid: uuid,
    originVolumeUuid: uuid,
    stripe: u53,
    encodeEpoch: u53,
    putEpoch: u53,
    throughSeq: u53,
    volumeSizeBytes: u53,
    generation: u32,
    encodeAct: u32,
    putAct: u32,
    placementVersion: u32,
    stripeBytes: u32,
    stripeDigest: u32,
    stripesPerRun: u32,
    policyStripeBytes: u32,
    matrixId: fc.integer({ min: 0, max: 255 }),
    volumeName: fc.string({ unit: "binary", maxLength: 15 }),
    code,
  });
  fc.assert(
    fc.property(fields, fc.integer({ min: 1, max: 1000 }), fc.nat(), (given, blocks, shard) => {
      const bytes = blocks * 4096;
      const all = { ...given, shardIndex: shard % shardCount(given.code), shardBytes: bytes, storedBytes: bytes };
      const image = encodeChunk(all, blocks === 1 ? dataOf(1, 1) : new Uint8Array(bytes), checksum);
      const { info, crcs, headerBytes } = decodeChunkHeader(image, checksum);
      const { tableCrc: _, ...decoded } = info;
      expect(decoded).toEqual(all);
      expect(crcs.length).toBe(blocks);
      expect(headerBytes).toBe(chunkHeaderBytes(blocks));
      expect(image.byteLength).toBe(headerBytes + bytes);
    }),
    { numRuns: 150 },
  );
});
