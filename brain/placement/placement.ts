/** Placement as one pure call. For many stripes on one snapshot use `Placer`, which also counts what it has placed. */
import type { PlaceRequest } from "./place-request.ts";
import { type PlacedShard, Placer } from "./placer.ts";
import type { TopologySnapshot } from "./topology.ts";

/**
 * Pools for the shards `shardIndexes` of a stripe, in order of shard. Never two shards of a stripe in one pool; one a failure domain while
 * there are enough, else spread as evenly as possible, but never more in one domain or on one node than the code may lose, kept shards counted.
 * Throws `FailedPrecondition`, whose data is a `PlacementShortage`, if that can't be done; `InvalidArgument` for a request that makes no sense.
 */
export function placeShards(request: PlaceRequest & { topology: TopologySnapshot }): PlacedShard[] {
  return new Placer(request.topology).place(request);
}
