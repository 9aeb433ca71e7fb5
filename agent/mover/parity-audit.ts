/** Whether the shards of a stripe belong together, and if not, which of them does not. Pure. */
import { blockBytes, type Code, dataShards } from "@couchestor/common/code/code.ts";
import type { Coding } from "../ports.ts";

type Shards = ReadonlyMap<number, Uint8Array>;

/** Blocks that are looked at one by one to find the shard at fault. */
const blocksTriedMax = 64;

/**
 * Encodes again what follows from the others and compares. Returns the shards that don't fit, empty if all do. When it can't be told which one is
 * wrong (too few shards more than needed), those that differ from what the data shards give are returned.
 */
export function auditStripe(code: Code, shards: Shards, coding: Coding): number[] {
  const differing = differingShards(code, shards, coding);
  if (differing.length === 0) return [];
  const blocks = differingBlocks(code, shards, coding).slice(0, blocksTriedMax);
  const guilty = new Set<number>();
  for (const block of blocks)
    for (const shard of guiltyOfBlock(code, blockOf(shards, block), coding)) guilty.add(shard);
  return [...guilty].sort((a, b) => a - b);
}

/** What the shards beyond a sufficient set should be, against what they are. */
function differingShards(code: Code, shards: Shards, coding: Coding): number[] {
  return recompute(code, shards, coding)
    .filter(({ shard, bytes }) => Buffer.compare(shards.get(shard) as Uint8Array, bytes) !== 0)
    .map(({ shard }) => shard);
}

function differingBlocks(code: Code, shards: Shards, coding: Coding): number[] {
  const blocks = new Set<number>();
  for (const { shard, bytes } of recompute(code, shards, coding)) {
    const actual = shards.get(shard) as Uint8Array;
    for (let at = 0; at < bytes.byteLength; at += blockBytes) {
      if (Buffer.compare(actual.subarray(at, at + blockBytes), bytes.subarray(at, at + blockBytes)) !== 0) {
        blocks.add(at / blockBytes);
      }
    }
  }
  return [...blocks].sort((a, b) => a - b);
}

function recompute(code: Code, shards: Shards, { codec, plan }: Coding): { shard: number; bytes: Uint8Array }[] {
  const data = Array.from({ length: dataShards(code) }, (_, i) => i);
  const sources = plan(code, new Set(shards.keys()), data);
  if (sources === undefined) return [];
  const rest = [...shards.keys()].filter((shard) => !sources.includes(shard));
  if (rest.length === 0) return [];
  const length = shards.values().next().value?.byteLength ?? 0;
  const into = rest.map(() => new Uint8Array(length));
  codec.reconstruct(code, new Map(sources.map((shard) => [shard, shards.get(shard) as Uint8Array])), rest, into);
  return rest.map((shard, i) => ({ shard, bytes: into[i] as Uint8Array }));
}

function blockOf(shards: Shards, block: number): Shards {
  return new Map(
    [...shards].map(([shard, bytes]) => [shard, bytes.subarray(block * blockBytes, (block + 1) * blockBytes)]),
  );
}

/** The one shard without which all others agree, if there is exactly one and the others are enough to check each other. */
function guiltyOfBlock(code: Code, shards: Shards, coding: Coding): number[] {
  const suspects = [...shards.keys()].filter((suspect) => {
    const others = new Map([...shards].filter(([shard]) => shard !== suspect));
    return recompute(code, others, coding).length > 0 && differingShards(code, others, coding).length === 0;
  });
  return suspects.length === 1 ? suspects : differingShards(code, shards, coding);
}
