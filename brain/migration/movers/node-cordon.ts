/** 2.9: every other node that the server might choose is cordoned, with a label of ours. A node with pools of both kinds is no target then. */
import { list } from "../pools.ts";
import {
  cordonVictim,
  type PlacementQuestion,
  type ReplicaMover,
  type SteeringPlan,
  steeringMax,
  tooMany,
} from "./mover.ts";

export const nodeCordonMover: ReplicaMover = {
  name: "NodeCordon",
  placement: ({ possible, targets, leaveAlone, cluster, label, allowAmbiguous }: PlacementQuestion): SteeringPlan => {
    const nodeOf = (pool: string): string => cluster.pools.get(pool)?.node ?? "";
    const closed = (pool: string): boolean => cluster.pools.get(pool)?.cordoned ?? false;
    const rivals = possible.filter((pool) => !targets.includes(pool) && !closed(pool));
    const shared = new Set(rivals.map(nodeOf));
    const own = targets.filter((pool) => !shared.has(nodeOf(pool)));
    if (own.length === 0 && !allowAmbiguous) {
      const names = list([...new Set(targets.map(nodeOf))]);
      return {
        refused: "AmbiguousPlacement",
        message: `before Mayastor 2.10 only whole nodes can be closed, and ${names} have pools of another tier too; upgrade, or allow ambiguous placement`,
      };
    }
    const open = own.length === 0 ? new Set(targets.map(nodeOf)) : new Set(own.map(nodeOf));
    const nodes = [...new Set(rivals.map(nodeOf))].filter((node) => !open.has(node) && !leaveAlone.has(node));
    const items = nodes.map((node) => ({ kind: "NodeCordon" as const, target: node, detail: label }));
    if (items.length > steeringMax) return tooMany(items.length);
    return { items, pools: own.length === 0 ? [...targets] : own };
  },
  removal: cordonVictim,
  // Node cordons decide both where the next replica goes and which one leaves.
  locks: () => ["placement", "removal"],
};
