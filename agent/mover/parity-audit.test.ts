import { expect, test } from "bun:test";
import { blockBytes, type Code, dataShards, shardCount } from "@couchestor/common/code/code.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { stripeDigest, tableCrc } from "../store/chunk-format.ts";
import { coding } from "../testing/test-agent.ts";
import { combineCrc32c, zeroBytesOperator } from "./crc-combine.ts";
import { auditStripe } from "./parity-audit.ts";

const prng = seededPrng(7);

function encoded(code: Code, blocks = 3): Map<number, Uint8Array> {
  const shards = Array.from({ length: shardCount(code) }, () => Uint8Array.from(prng.bytes(blocks * blockBytes)));
  coding.codec.encode(code, shards.slice(0, dataShards(code)), shards.slice(dataShards(code)));
  return new Map(shards.entries());
}

function flip(shards: Map<number, Uint8Array>, shard: number, at: number): void {
  const bytes = shards.get(shard) as Uint8Array;
  bytes[at] = (bytes[at] as number) ^ 1;
}

const codes: Code[] = [
  { family: "rs", k: 4, m: 2 },
  { family: "rs", k: 8, m: 3 },
  { family: "lrc", k: 6, l: 2, g: 2 },
  { family: "replica", n: 3 },
];

test("shards of one encoding pass, also when some are missing", () => {
  for (const code of [...codes, { family: "rs", k: 3, m: 1 } as const]) {
    const shards = encoded(code);
    expect(auditStripe(code, shards, coding)).toEqual([]);
    shards.delete(0);
    expect(auditStripe(code, shards, coding)).toEqual([]);
  }
});

test("one wrong shard is named, whichever it is", () => {
  for (const code of codes) {
    for (let wrong = 0; wrong < shardCount(code); wrong++) {
      const shards = encoded(code);
      flip(shards, wrong, 4096 + wrong);
      expect(auditStripe(code, shards, coding)).toEqual([wrong]);
    }
  }
});

test("two shards wrong in different blocks are both named", () => {
  const code = codes[0] as Code;
  const shards = encoded(code);
  flip(shards, 1, 5);
  flip(shards, 5, 2 * blockBytes);
  expect(auditStripe(code, shards, coding)).toEqual([1, 5]);
});

test("with nothing to spare the parity that differs is named", () => {
  const code: Code = { family: "rs", k: 4, m: 1 };
  const shards = encoded(code);
  flip(shards, 2, 0);
  expect(auditStripe(code, shards, coding)).toEqual([4]);
  const bare = encoded(code);
  flip(bare, 2, 0);
  bare.delete(4);
  expect(auditStripe(code, bare, coding)).toEqual([]);
});

test("the CRCs of tables combine to the stripe's digest", () => {
  for (const entries of [1, 2, 7, 64, 1000]) {
    const tables = Array.from({ length: 6 }, () => Uint32Array.from({ length: entries }, () => prng.u32()));
    const operator = zeroBytesOperator(entries * 4);
    const crcs = tables.map((table) => tableCrc(table, coding.checksum));
    const combined = crcs.slice(1).reduce((crc, next) => combineCrc32c(crc, next, operator), crcs[0] as number);
    expect(combined).toBe(stripeDigest(tables, coding.checksum));
  }
});
