import { describe, expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { decodeChunkHeader, encodeChunk, encodeChunkHeader, stripeDigest, tableCrc } from "./chunk-format.ts";
import { decodeDelete, encodeDelete } from "./delete-format.ts";
import { sealHeader, viewOf } from "./record-format.ts";
import { decodeSegmentHeader, encodeSegmentHeader } from "./segment-format.ts";
import { decodeSuperblock, encodeSuperblock, type Superblock } from "./superblock.ts";
import { checksum, dataOf, fieldsOf, nameOf } from "./testing/fixture.ts";

const poolUuid = "77777777-6666-4555-8444-333333333333";
const place = { poolUuid, segmentId: 9, segmentOffset: 8192 };
const superblock: Superblock = {
  writeNo: 3,
  poolUuid,
  clusterUuid: "11111111-2222-4333-8444-555555555555",
  createdMs: 1_700_000_000_000,
  kind: "block",
  segmentBytes: 64 * 2 ** 20,
  slotsOffsetBytes: 2 ** 20,
  slotCount: 1000,
  nodeName: "node-1",
  poolName: "pool-a",
};

function deleteRecord(): Uint8Array {
  const entries = [1, 2].map((no) => ({
    name: nameOf(fieldsOf(1, { stripe: 2 ** 40 + no, shardIndex: no })),
    orderedBy: { epoch: 2 ** 33, actNo: 8 },
    reason: "garbage" as const,
    deadSegment: 4,
    bound: no === 1 ? { segmentId: 5, offset: 4096 } : undefined,
  }));
  return encodeDelete(entries, place, checksum);
}

interface Format {
  name: string;
  bytes: Uint8Array;
  decode(bytes: Uint8Array): unknown;
}
const chunkImage = encodeChunk(fieldsOf(3, { poolUuid }), dataOf(3, 1), checksum);
const formats: Format[] = [
  { name: "chunk-header", bytes: chunkImage.subarray(0, 4096), decode: (bytes) => decodeChunkHeader(bytes, checksum) },
  { name: "delete-record", bytes: deleteRecord(), decode: (bytes) => decodeDelete(bytes, checksum) },
  {
    name: "segment-header",
    bytes: encodeSegmentHeader({ poolUuid, segmentId: 9, createdMs: 1_700_000_000_000, targetBytes: 65536 }, checksum),
    decode: (bytes) => decodeSegmentHeader(bytes, checksum),
  },
  {
    name: "superblock",
    bytes: encodeSuperblock(superblock, checksum),
    decode: (bytes) => decodeSuperblock(bytes, checksum),
  },
];

for (const { name, bytes, decode } of formats) {
  describe(name, () => {
    test("is byte for byte what it was in the first version", () => {
      const golden = readFileSync(`${import.meta.dir}/testdata/${name}.hex`, "utf8");
      expect(hexLines(bytes)).toBe(golden);
    });

    test("a flip of any bit of any byte is detected", () => {
      for (let at = 0; at < bytes.byteLength; at++) {
        const bad = bytes.slice();
        bad[at] = (bad[at] ?? 0) ^ (1 << (at % 8));
        expect(() => decode(bad)).toThrow(AppError);
      }
    });

    test("any truncation is detected", () => {
      for (let length = 0; length < bytes.byteLength; length += 61)
        expect(() => decode(bytes.subarray(0, length))).toThrow(AppError);
    });
  });
}

/** Hex, 32 bytes a line; runs of equal lines are one line with a count. */
function hexLines(bytes: Uint8Array): string {
  const out: string[] = [];
  let count = 0;
  let last = "";
  const flush = (): void => {
    if (count > 0) out.push(count === 1 ? last : `${last} x${count}`);
  };
  for (let at = 0; at < bytes.byteLength; at += 32) {
    const line = Buffer.from(bytes.subarray(at, at + 32)).toString("hex");
    if (line === last) count++;
    else {
      flush();
      last = line;
      count = 1;
    }
  }
  flush();
  return `${out.join("\n")}\n`;
}

describe("what a valid CRC does not excuse", () => {
  const change = (offset: number, value: number, width: 1 | 2 | 4): Uint8Array => {
    const bytes = chunkImage.slice(0, 4096);
    const view = viewOf(bytes);
    if (width === 1) view.setUint8(offset, value);
    else if (width === 2) view.setUint16(offset, value, true);
    else view.setUint32(offset, value, true);
    sealHeader(bytes, checksum);
    return bytes;
  };
  const cases: [string, number, number, 1 | 2 | 4, string, RegExp][] = [
    ["a newer version", 4, 2, 2, "IncompatibleVersion", /formatVersion: got 2/],
    ["an unknown feature", 24, 1, 4, "IncompatibleVersion", /requiredFeatures: got 0x1/],
    ["an unknown flag", 16, 4, 4, "IncompatibleVersion", /flags: got 0x4/],
    ["another record type", 6, 3, 1, "ChunkCorrupt", /recordType/],
    ["a reserved byte", 330, 1, 1, "ChunkCorrupt", /reserved/],
    ["a key id", 130, 1, 1, "ChunkCorrupt", /keyId/],
    ["an unknown code family", 204, 9, 1, "ChunkCorrupt", /code/],
    ["k = 0", 205, 0, 1, "ChunkCorrupt", /code/],
    ["another field polynomial", 209, 0x2d, 1, "ChunkCorrupt", /field polynomial/],
    ["a shard beyond the code", 184, 6, 4, "ChunkCorrupt", /shardIndex/],
    ["another block size", 224, 512, 2, "ChunkCorrupt", /blockBytes/],
    ["another checksum", 226, 2, 1, "ChunkCorrupt", /checksumKind/],
    ["a block count that differs from the length", 244, 4, 4, "ChunkCorrupt", /blockCount/],
    ["a stored length that differs from the body", 220, 4096, 4, "ChunkCorrupt", /storedBytes/],
    ["an epoch beyond 2^53", 156, 0x20_0000, 4, "ChunkCorrupt", /encodeEpoch/],
    ["a table that differs from its CRC", 384, 1, 4, "ChunkCorrupt", /tableCrc/],
    ["a name that is too long", 248, 64, 1, "ChunkCorrupt", /volumeName/],
  ];
  for (const [what, offset, value, width, code, message] of cases) {
    test(what, () => {
      try {
        decodeChunkHeader(change(offset, value, width), checksum);
        throw new Error("was accepted");
      } catch (error) {
        expect((error as AppError).code).toBe(code as AppError["code"]);
        expect((error as AppError).message).toMatch(message);
      }
    });
  }
});

describe("encodeChunk refuses", () => {
  const cases: [string, () => unknown, RegExp][] = [
    [
      "data that is not whole blocks",
      () => encodeChunk(fieldsOf(1), new Uint8Array(100), checksum),
      /data: got 100 bytes/,
    ],
    ["no data", () => encodeChunk(fieldsOf(1), new Uint8Array(0), checksum), /data: got 0 bytes/],
    [
      "a shard over 64 MiB",
      () => encodeChunkHeader(fieldsOf(16385), new Uint32Array(16385), checksum),
      /at most 67108864/,
    ],
    ["a length that differs", () => encodeChunk(fieldsOf(2), dataOf(1, 1), checksum), /shardBytes: got 8192/],
    [
      "a shard beyond the code",
      () => encodeChunk(fieldsOf(1, { shardIndex: 6 }), dataOf(1, 1), checksum),
      /shardIndex: got 6/,
    ],
    ["a negative number", () => encodeChunk(fieldsOf(1, { stripe: -1 }), dataOf(1, 1), checksum), /stripe: got -1/],
    ["an unsafe number", () => encodeChunk(fieldsOf(1, { putEpoch: 2 ** 53 }), dataOf(1, 1), checksum), /putEpoch/],
    [
      "a UUID in upper case",
      () => encodeChunk(fieldsOf(1, { volumeUuid: poolUuid.replace("7", "A") }), dataOf(1, 1), checksum),
      /volumeUuid/,
    ],
    [
      "a name over 63 bytes",
      () => encodeChunk(fieldsOf(1, { volumeName: "ä".repeat(32) }), dataOf(1, 1), checksum),
      /volumeName: got 64 bytes/,
    ],
  ];
  for (const [what, run, message] of cases) test(what, () => expect(run).toThrow(message));
});

test("digests are CRCs of the tables in shard order", () => {
  const a = Uint32Array.of(1, 2);
  const b = Uint32Array.of(3);
  const bytes = new Uint8Array([1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0]);
  expect(tableCrc(a, checksum)).toBe(checksum.crc32c(bytes.subarray(0, 8)));
  expect(stripeDigest([a, b], checksum)).toBe(checksum.crc32c(bytes));
  expect(stripeDigest([b, a], checksum)).not.toBe(checksum.crc32c(bytes));
});

/** Written once by `UPDATE_GOLDEN=1`; a change of these files is a change of the format. */
if (process.env["UPDATE_GOLDEN"] === "1") {
  for (const { name, bytes } of formats) await Bun.write(`${import.meta.dir}/testdata/${name}.hex`, hexLines(bytes));
}
