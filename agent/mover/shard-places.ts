/** Where one stripe's shards are and what their chunks are called, from the map. Pure. */
import type { ChunkKey } from "@couchestor/common/api/chunks.ts";
import type { NodeAddress, RunMap, VolumeDescriptor } from "@couchestor/common/api/maps.ts";
import { shardCount } from "@couchestor/common/code/code.ts";

/** A stripe with all that is needed to read it. */
export interface StripeView {
  volume: VolumeDescriptor;
  run: RunMap;
  nodes: readonly NodeAddress[];
  stripe: number;
}

export interface ShardPlace {
  shardIndex: number;
  poolUuid: string;
  nodeName: string;
  poolName: string;
}

/** The node of a pool that only an exception names; undefined if nobody knows. */
export type NodeOfPool = (poolUuid: string) => string | undefined;

/** For each shard of the stripe where it is; undefined for one that the map says is nowhere. Exceptions go before columns. */
export function shardPlaces(view: StripeView, nodeOfPool: NodeOfPool = () => undefined): (ShardPlace | undefined)[] {
  const { run, stripe } = view;
  const places: (ShardPlace | undefined)[] = Array.from({ length: shardCount(run.code) }, () => undefined);
  for (const { shardIndex, poolUuid, nodeName, poolName } of run.shardLocations) {
    places[shardIndex] = { shardIndex, poolUuid, nodeName, poolName };
  }
  for (const exception of run.exceptions) {
    if (exception.stripe !== stripe) continue;
    const { shardIndex, poolUuid } = exception;
    const column = run.shardLocations.find((location) => location.poolUuid === poolUuid);
    const nodeName = column?.nodeName ?? nodeOfPool(poolUuid) ?? "unknown";
    places[shardIndex] = exception.present
      ? { shardIndex, poolUuid, nodeName, poolName: column?.poolName ?? "unknown" }
      : undefined;
  }
  return places;
}

/** The name of a shard's chunk without its put act: any intact copy holds the same bytes. Generation and encode act are the map's, so sources always belong together [P3]. */
export function chunkKeyOf(view: StripeView, shardIndex: number): ChunkKey {
  const { generation, encodeEpoch, encodeAct } = view.run;
  return { volumeUuid: view.volume.volumeUuid, stripe: view.stripe, shardIndex, generation, encodeEpoch, encodeAct };
}

/** A text that is equal for two maps that put this stripe's content and its shards in the same places. */
export function versionOf(view: StripeView): string {
  const { generation, encodeEpoch, encodeAct } = view.run;
  const places = shardPlaces(view).map((place) => place?.poolUuid ?? "-");
  return `${generation}/${encodeEpoch}/${encodeAct}/${places.join(",")}`;
}
