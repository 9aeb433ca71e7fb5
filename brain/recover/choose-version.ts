/**
 * Which version of a stripe a recovery from the disks takes: among those of which enough intact shards of one (journal, generation, encode act) are left,
 * the greatest (encodeEpoch, generation). The highest generation alone could be a dead act's. Pure.
 */
import { shardCount } from "@couchestor/common/code/code.ts";
import { isDecodable } from "../placement/spare.ts";
import type { Copy, Version } from "./chunk-census.ts";

export interface Choice {
  version: number;
  /** One copy a shard, ascending; the newest put where there are several. */
  copies: Copy[];
  /** Enough shards are left to read the stripe. */
  readable: boolean;
  /** Shards of the code that no pool holds. */
  missing: number[];
  /** Versions left aside. */
  ignored: number;
}

/** Undefined when there is no intact chunk at all. */
export function chooseVersion(
  versions: readonly Version[],
  found: ReadonlyMap<number, readonly Copy[]>,
): Choice | undefined {
  const candidates = [...found].flatMap(([number, copies]) => {
    const version = versions[number];
    return version && copies.length > 0 ? [candidate(number, version, copies)] : [];
  });
  candidates.sort((a, b) => Number(b.readable) - Number(a.readable) || compareVersions(b.of, a.of));
  const best = candidates[0];
  if (!best) return undefined;
  const { of: _version, ...choice } = best;
  return { ...choice, ignored: candidates.length - 1 };
}

/** Order in which recovery prefers versions: encodeEpoch, generation, then act number for two encodings by one owner. */
export function compareVersions(a: Version, b: Version): number {
  return a.encodeEpoch - b.encodeEpoch || a.generation - b.generation || a.encodeAct - b.encodeAct;
}

function candidate(number: number, version: Version, copies: readonly Copy[]): Choice & { of: Version } {
  const newest = new Map<number, Copy>();
  for (const copy of copies) {
    const known = newest.get(copy.shardIndex);
    if (!known || comparePuts(copy, known) > 0) newest.set(copy.shardIndex, copy);
  }
  const missing = Array.from({ length: shardCount(version.code) }, (_, shard) => shard).filter(
    (shard) => !newest.has(shard),
  );
  return {
    version: number,
    of: version,
    copies: [...newest.values()].sort((a, b) => a.shardIndex - b.shardIndex),
    readable: isDecodable(version.code, new Set(missing)),
    missing,
    ignored: 0,
  };
}

function comparePuts(a: Copy, b: Copy): number {
  return a.putEpoch - b.putEpoch || a.putAct - b.putAct || (a.poolUuid < b.poolUuid ? -1 : 1);
}
