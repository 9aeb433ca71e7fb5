/** Known answers that every codec must give: made once, checked in, never computed by the code they check. */
import { type Code, dataShards, parseCode, shardCount } from "@couchestor/common/code/code.ts";
import vectors from "./testdata/parity.json" with { type: "json" };

export interface GoldenVector {
  readonly code: Code;
  /** In order of the shards behind the data; each of `goldenShardBytes`. */
  readonly parity: readonly Uint8Array[];
}

/** Odd on purpose: no vector register divides it. */
export const goldenShardBytes = 167;

/** The data shards that the golden parity belongs to. */
export function goldenData(code: Code): Uint8Array[] {
  return Array.from({ length: dataShards(code) }, (_, shard) =>
    Uint8Array.from(
      { length: goldenShardBytes },
      (_, i) => (shard * 151 + i * 89 + (i * i + shard) * 13 + (i >> 3)) & 0xff,
    ),
  );
}

export const goldenVectors: readonly GoldenVector[] = vectors.map(({ code, parity }) => ({
  code: parseCode(code),
  parity: parity.map((hex) => Uint8Array.from(Buffer.from(hex, "hex"))),
}));

/** CRC32C of known bytes: RFC 3720 section B.4 and the customary check value. */
export const goldenChecksums: readonly { readonly bytes: Uint8Array; readonly crc32c: number }[] = [
  { bytes: new Uint8Array(0), crc32c: 0 },
  { bytes: new TextEncoder().encode("123456789"), crc32c: 0xe3069283 },
  { bytes: new Uint8Array(32), crc32c: 0x8a9136aa },
  { bytes: new Uint8Array(32).fill(0xff), crc32c: 0x62a8ab43 },
  { bytes: Uint8Array.from({ length: 32 }, (_, i) => i), crc32c: 0x46dd794e },
  { bytes: Uint8Array.from({ length: 32 }, (_, i) => 31 - i), crc32c: 0x113fdb5c },
];

/** All shards of a stripe, data first. */
export function goldenStripe({ code, parity }: GoldenVector): Uint8Array[] {
  const shards = [...goldenData(code), ...parity];
  if (shards.length !== shardCount(code)) throw new RangeError("golden vector with the wrong number of shards");
  return shards;
}
