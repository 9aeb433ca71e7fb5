/** Which act puts single bad chunks of a run again: those chunks alone, or the whole column when there would be too many exceptions. Pure. */
import { shardExceptionsMax } from "@couchestor/common/api/maps.ts";
import { currentPlacement, type EcStripeSpec } from "@couchestor/common/crd/ec-stripe.ts";
import type { PoolStanding } from "../inventory/standing.ts";
import type { Placed } from "../volumes/targets.ts";

export interface ChunkAt {
  stripe: number;
  shardIndex: number;
}

export interface ChunkRepair {
  placed: Placed[];
  only?: ChunkAt[];
  /** Bad chunks that this act does not put, because their column's pool can't be written. */
  left: ChunkAt[];
}

/** The act for these chunks, each in its column's pool; undefined if none can be put. */
export function planChunkRepair(
  spec: EcStripeSpec,
  bad: readonly ChunkAt[],
  standing: (poolUuid: string) => PoolStanding,
): ChunkRepair | undefined {
  const columns = new Map((currentPlacement(spec)?.shardLocations ?? []).map((l) => [l.shardIndex, l]));
  const usable = (shardIndex: number): boolean => {
    const column = columns.get(shardIndex);
    return column !== undefined && standing(column.poolUuid) === "ok";
  };
  const can = bad.filter((b) => usable(b.shardIndex));
  const left = bad.filter((b) => !usable(b.shardIndex));
  if (can.length === 0) return undefined;
  const placedFor = (shards: Iterable<number>): Placed[] =>
    [...new Set(shards)].flatMap((shardIndex) => {
      const l = columns.get(shardIndex);
      return l ? [{ shardIndex, poolUuid: l.poolUuid, nodeName: l.nodeName, poolName: l.poolName }] : [];
    });
  const key = (c: ChunkAt) => `${c.stripe}/${c.shardIndex}`;
  const merged = new Set([...spec.exceptions.map(key), ...can.map(key)]);
  if (merged.size <= shardExceptionsMax) return { placed: placedFor(can.map((c) => c.shardIndex)), only: can, left };
  const perShard = Map.groupBy([...spec.exceptions, ...can], (c) => c.shardIndex);
  const [shard] = [...perShard].filter(([s]) => usable(s)).sort((a, b) => b[1].length - a[1].length)[0] ?? [];
  if (shard === undefined) return undefined;
  return { placed: placedFor([shard]), left: bad.filter((b) => b.shardIndex !== shard) };
}
