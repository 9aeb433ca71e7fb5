/** Which replica the server would remove, as its scheduler of each version sorts (2.7 to 2.12); from what REST tells. */
import { isComplete } from "./copies.ts";
import { fitsRule } from "./pools.ts";
import type { ServerVersion } from "./version.ts";
import type { ClusterView, ReplicaView, VolumeView } from "./view.ts";

export interface VictimQuestion {
  volume: VolumeView;
  cluster: ClusterView;
  version: ServerVersion;
  /** Nodes to be taken for cordoned besides those that reads show: ours that were just set, and those that are about to be. */
  cordonedNodes: ReadonlySet<string>;
  /** Pools whose label is off, or about to be. */
  strippedPools: ReadonlyMap<string, string>;
}

/**
 * Those of the replicas that may go first, by uuid. One: it goes. Several: they tie, and the order among them is not stable. Affinity groups
 * sort too, by what other volumes have where; that isn't known here, so it separates nobody.
 */
export function likelyVictims(question: VictimQuestion): string[] {
  const { volume } = question;
  const incomplete = volume.replicas.filter((replica) => !isComplete(volume, replica));
  if (incomplete.length > 0) return incomplete.map(({ uuid }) => uuid);
  // A pool or node that couldn't be read may have labels and cordons that decide.
  const { pools, nodes } = question.cluster;
  if (volume.replicas.some(({ pool = "", node = "" }) => !pools.has(pool) || !nodes.has(node)))
    return volume.replicas.map(({ uuid }) => uuid);
  const keyed = volume.replicas.map((replica) => ({ uuid: replica.uuid, key: sortKey(question, replica) }));
  const [first] = keyed.map(({ key }) => key).sort();
  return keyed.filter(({ key }) => key === first).map(({ uuid }) => uuid);
}

/** Zeros and ones, the most important first; the least goes first. */
function sortKey({ volume, cluster, version, cordonedNodes, strippedPools }: VictimQuestion, r: ReplicaView): string {
  const pool = cluster.pools.get(r.pool ?? "");
  const node = cluster.nodes.get(r.node ?? "");
  const goesFirst: boolean[] = [];
  if (version.topologyAware) {
    const stripped = strippedPools.get(pool?.name ?? "");
    const labels = Object.entries(pool?.labels ?? {}).filter(([key]) => key !== stripped);
    goesFirst.push(!fitsRule(node?.labels ?? {}, volume.nodeRule, "asServed"));
    goesFirst.push(!fitsRule(Object.fromEntries(labels), volume.poolRule, "asServed"));
    goesFirst.push(volume.replicas.some((other) => other !== r && other.node === r.node));
  }
  if (version.nodeCordonAware) goesFirst.push((node?.cordons.length ?? 0) > 0 || cordonedNodes.has(r.node ?? ""));
  goesFirst.push(volume.target === undefined || volume.target.node !== r.node);
  return goesFirst.map((first) => (first ? "0" : "1")).join("");
}
