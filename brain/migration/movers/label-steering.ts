/**
 * 2.7.3 to 2.8, and only if allowed: a label that the volume wants of its pools is taken off those that shall not be chosen, or off the pool of
 * the replica that is to go, and put back afterwards. For that time the pools have no tier for anybody.
 */
import {
  freeTierKey,
  type PlacementQuestion,
  type RemovalQuestion,
  type ReplicaMover,
  type Steering,
  type SteeringPlan,
  steeringMax,
  tooMany,
} from "./mover.ts";

export const labelSteeringMover: ReplicaMover = {
  name: "LabelSteering",
  placement: ({ volume, cluster, possible, targets, leaveAlone, allowAmbiguous }: PlacementQuestion): SteeringPlan => {
    const rivals = possible.filter((pool) => !targets.includes(pool) && !leaveAlone.has(pool));
    const key = freeTierKey(volume.poolRule);
    if (rivals.length === 0 || (key === undefined && allowAmbiguous)) return { items: [], pools: [...targets] };
    if (key === undefined) return noKey("AmbiguousPlacement");
    const items = rivals.flatMap((pool) => strip(pool, key, cluster.pools.get(pool)?.labels[key]));
    return items.length > steeringMax ? tooMany(items.length) : { items, pools: [...targets] };
  },
  removal: ({ volume, cluster, victim }: RemovalQuestion): SteeringPlan => {
    const pool = volume.replicas.find(({ uuid }) => uuid === victim)?.pool;
    const key = freeTierKey(volume.poolRule);
    if (pool === undefined || key === undefined) return noKey("SteeringIneffective");
    return { items: strip(pool, key, cluster.pools.get(pool)?.labels[key]), pools: [] };
  },
  // A pool without its label is another pool to every volume.
  locks: () => ["placement", "removal"],
};

function strip(pool: string, key: string, value: string | undefined): Steering[] {
  return value === undefined ? [] : [{ kind: "PoolLabel", target: pool, detail: `${key}=${value}` }];
}

function noKey(refused: "AmbiguousPlacement" | "SteeringIneffective"): SteeringPlan {
  return {
    refused,
    message:
      "before Mayastor 2.9 replicas are steered by a label that the volume's StorageClass asks pools for (poolHasTopologyKey), and this volume has none; upgrade Mayastor",
  };
}
