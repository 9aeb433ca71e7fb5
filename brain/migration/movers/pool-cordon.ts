/** 2.10 and newer: every other pool that the server might choose is cordoned. Cordons of pools are not counted, so those of others are left alone. */
import {
  cordonVictim,
  type PlacementQuestion,
  type ReplicaMover,
  type SteeringPlan,
  steeringMax,
  tooMany,
} from "./mover.ts";

export const poolCordonMover: ReplicaMover = {
  name: "PoolCordon",
  placement: ({ possible, targets, leaveAlone }: PlacementQuestion): SteeringPlan => {
    const items = possible
      .filter((pool) => !targets.includes(pool) && !leaveAlone.has(pool))
      .map((pool) => ({ kind: "PoolCordon" as const, target: pool, detail: "replicas" }));
    return items.length > steeringMax ? tooMany(items.length) : { items, pools: [...targets] };
  },
  removal: cordonVictim,
  // Pool cordons don't change which replica leaves, and a node that is closed for a while is only one place less.
  locks: (step) => [step],
};
