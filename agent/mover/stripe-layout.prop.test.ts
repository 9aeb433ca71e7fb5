import { expect, test } from "bun:test";
import { blockBytes, type Code, dataShards, shardBytes } from "@couchestor/common/code/code.ts";
import fc from "fast-check";
import { piecesOfRange, scatter, stripeBytesOf, stripeCountOf, stripesOfRange } from "./stripe-layout.ts";

const codes: fc.Arbitrary<Code> = fc.oneof(
  fc.record({
    family: fc.constant("rs" as const),
    k: fc.integer({ min: 1, max: 17 }),
    m: fc.integer({ min: 1, max: 4 }),
  }),
  fc.record({ family: fc.constant("replica" as const), n: fc.integer({ min: 1, max: 4 }) }),
);

test("the pieces of a range hold exactly its bytes, each once, in whole blocks of the shard", () => {
  fc.assert(
    fc.property(codes, fc.integer({ min: 1, max: 120_000 }), fc.nat(), fc.nat(), (code, stripeBytes, a, b) => {
      const offset = a % stripeBytes;
      const length = 1 + (b % (stripeBytes - offset));
      const content = Uint8Array.from({ length: stripeBytes }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
      const shard = shardBytes(code, stripeBytes);
      const shards = Array.from({ length: dataShards(code) }, () => new Uint8Array(shard));
      const cut = Math.floor(stripeBytes / 3);
      scatter(code, shards, 0, content.subarray(0, cut));
      scatter(code, shards, cut, content.subarray(cut));
      const out = new Uint8Array(length);
      let taken = 0;
      for (const piece of piecesOfRange(code, stripeBytes, offset, length)) {
        expect((piece.firstBlock + piece.blockCount) * blockBytes).toBeLessThanOrEqual(shard);
        const blocks = (shards[piece.shardIndex] as Uint8Array).subarray(
          piece.firstBlock * blockBytes,
          (piece.firstBlock + piece.blockCount) * blockBytes,
        );
        out.set(blocks.subarray(piece.skipBytes, piece.skipBytes + piece.takeBytes), piece.intoOffset);
        taken += piece.takeBytes;
        expect(piece.skipBytes).toBeLessThan(blockBytes);
      }
      expect(taken).toBe(length);
      expect(Buffer.compare(out, content.subarray(offset, offset + length))).toBe(0);
    }),
    { numRuns: 150 },
  );
});

test("the stripes of a range follow each other and cover it; the last stripe is shorter", () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 2 ** 40 }),
      fc.integer({ min: 1, max: 16_384 }),
      fc.nat(),
      fc.nat(),
      (size, blocks, a, b) => {
        const shape = { sizeBytes: size, stripeSizeBytes: blocks * 4096 };
        const offset = a % size;
        const length = b % Math.min(size - offset, shape.stripeSizeBytes * 50);
        let at = offset;
        for (const { stripe, offsetBytes, lengthBytes } of stripesOfRange(shape, offset, length)) {
          expect(stripe * shape.stripeSizeBytes + offsetBytes).toBe(at);
          expect(offsetBytes + lengthBytes).toBeLessThanOrEqual(stripeBytesOf(shape, stripe));
          at += lengthBytes;
        }
        expect(at).toBe(offset + length);
        const last = stripeCountOf(shape) - 1;
        expect(last * shape.stripeSizeBytes + stripeBytesOf(shape, last)).toBe(size);
      },
    ),
    { numRuns: 300 },
  );
});

test("a range outside the volume is refused, saying what the volume has", () => {
  const shape = { sizeBytes: 100, stripeSizeBytes: 4096 };
  expect(() => [...stripesOfRange(shape, 50, 51)]).toThrow("range: got 50 … 101, the volume has bytes 0 … 100");
  expect(() => stripeBytesOf(shape, 1)).toThrow("stripe: got 1, the volume has stripes 0 … 0");
});
