/** The cluster as it will be when other migrations have taken back what they hold for a step of theirs. Pure. */
import { labelOf } from "./calls.ts";
import type { Steering } from "./movers/mover.ts";
import type { ClusterView } from "./view.ts";

/** The same without these cordons, and with these labels. A cordon of a person under another label stays. */
export function withoutSteering(view: ClusterView, steering: readonly Steering[]): ClusterView {
  if (steering.length === 0) return view;
  const pools = new Map(view.pools);
  const nodes = new Map(view.nodes);
  for (const { kind, target, detail } of steering) {
    const pool = pools.get(target);
    const node = nodes.get(target);
    if (kind === "PoolCordon" && pool !== undefined) pools.set(target, { ...pool, cordoned: false });
    if (kind === "PoolLabel" && pool !== undefined) {
      const [key, value] = labelOf(detail);
      pools.set(target, { ...pool, labels: { [key]: value, ...pool.labels } });
    }
    if (kind === "NodeCordon" && node !== undefined)
      nodes.set(target, { ...node, cordons: node.cordons.filter((label) => label !== detail) });
  }
  return { pools, nodes };
}
