/**
 * The exact step for topologies whose failure domains cut across nodes. Pools are edges between domains and nodes, both with limits: one more
 * shard fits exactly if there is an augmenting path, along which some shards change pools within the same domain or node.
 */
import type { RuleView } from "./rule-view.ts";
import type { StripeLoad } from "./stripe-load.ts";

interface Step {
  /** The pool by which the search came here. */
  pool: number;
  /** The node or domain it came from; undefined at the start. */
  from: string | undefined;
}

/**
 * Finds room for one more shard, moving shards of `picked` where that helps. Changes `picked` and `load`; false, and nothing changed, when
 * there is none with at most `domainMax` a domain.
 */
export function augment(
  view: RuleView,
  load: StripeLoad,
  picked: Set<number>,
  bytes: number,
  domainMax: number,
): boolean {
  const domain = (pool: number) => `d${view.domainOf[pool]}`;
  const node = (pool: number) => `n${view.index.nodeOf[pool]}`;
  const free = view.eligible.filter((pool) => !load.has(pool) && view.index.hasRoom(pool, bytes));
  const reached = new Map<string, Step>();
  const queue: string[] = [];
  const reach = (place: string, pool: number, from: string | undefined) => {
    if (reached.has(place)) return;
    reached.set(place, { pool, from });
    queue.push(place);
  };
  for (const pool of free) if (load.inDomainOf(pool) < domainMax) reach(domain(pool), -1, undefined);
  for (let place = queue.shift(); place !== undefined; place = queue.shift()) {
    if (place.startsWith("d")) {
      for (const pool of free) {
        if (domain(pool) !== place) continue;
        if (load.inNodeOf(pool) < load.nodeMax) {
          flip(load, picked, reached, pool, place);
          return true;
        }
        reach(node(pool), pool, place);
      }
    } else {
      for (const pool of picked) if (node(pool) === place) reach(domain(pool), pool, place);
    }
  }
  return false;
}

/** Takes every pool on the path out if it was picked and in if it was not. */
function flip(load: StripeLoad, picked: Set<number>, reached: Map<string, Step>, last: number, end: string): void {
  const path = [last];
  for (let step = reached.get(end); step?.from !== undefined; step = reached.get(step.from)) path.push(step.pool);
  for (const pool of path) {
    if (picked.delete(pool)) load.remove(pool);
    else {
      picked.add(pool);
      load.add(pool);
    }
  }
}
