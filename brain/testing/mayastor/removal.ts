/** Which replica Mayastor removes when the count goes down by one, as its scheduler of each version sorts. */
import type { MayastorCluster } from "./cluster.ts";
import { isSameGroup, matchesLabels, replicasOn } from "./placement.ts";
import { atLeast } from "./settings.ts";
import type { TruthReplica, TruthVolume } from "./truth.ts";

export type Victim = { replica: TruthReplica } | { refused: string };

/** The store's word on a replica's health, live: one that the nexus doesn't list is not healthy; without any word all are. */
export function isHealthyByStore(volume: TruthVolume, replica: TruthReplica): boolean {
  return volume.nexusInfo === undefined || volume.nexusInfo.healthy.get(replica.uuid) === true;
}

/** The replica that goes, or why none does. Unhealthy ones go first, whatever else holds. */
export function chooseVictim(cluster: MayastorCluster, volume: TruthVolume, desired: number): Victim {
  const listed = cluster.listed(volume);
  const healthy = listed.filter((replica) => isHealthyByStore(volume, replica));
  const unhealthy = listed.filter((replica) => !healthy.includes(replica));
  const [first] = unhealthy.sort((a, b) => Number(isOnline(cluster, a)) - Number(isOnline(cluster, b)));
  if (first !== undefined) return { replica: first };
  const online = healthy.filter((replica) => isOnline(cluster, replica));
  if (online.length <= desired) return { refused: `only ${online.length} healthy replicas are online` };
  if (healthy.length <= 1) return { refused: "it is the last healthy replica" };
  const [victim] = healthy
    .map((replica, order) => ({ replica, order, keys: sortKeys(cluster, volume, replica, healthy) }))
    .sort((a, b) => compareKeys(a.keys, b.keys) || a.order - b.order);
  return victim === undefined ? { refused: "there is no replica" } : { replica: victim.replica };
}

function isOnline(cluster: MayastorCluster, replica: TruthReplica): boolean {
  return cluster.cache.node(cluster.pool(replica.pool).node).replicas.get(replica.uuid) === "Online";
}

/** The lower, the sooner it goes. */
function sortKeys(
  cluster: MayastorCluster,
  volume: TruthVolume,
  replica: TruthReplica,
  among: readonly TruthReplica[],
): number[] {
  const { settings } = cluster;
  const pool = cluster.pool(replica.pool);
  const child = volume.nexus?.children.find((found) => found.replica === replica.uuid);
  const firstIf = (holds: boolean): number => (holds ? 0 : 1);
  const outside = volume.nexus !== undefined && child === undefined;
  // Versions before 2.9 sort children outside the nexus last.
  const outsideKey = atLeast(settings, 9) ? firstIf(outside) : outside ? 1 : 0;
  const keys = [outsideKey];
  if (atLeast(settings, 7, 3)) {
    keys.push(firstIf(!matchesLabels(pool.labels, volume.poolInclusion)));
    keys.push(firstIf(among.some((other) => other !== replica && cluster.pool(other.pool).node === pool.node)));
  }
  if (atLeast(settings, 9)) keys.push(firstIf(cluster.node(pool.node).cordons.size > 0));
  keys.push(firstIf(volume.nexus?.node !== pool.node));
  keys.push(-replicasOn(cluster, pool, (other) => isSameGroup(other, volume)));
  return keys;
}

function compareKeys(a: readonly number[], b: readonly number[]): number {
  for (const [i, key] of a.entries()) {
    const difference = key - (b[i] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}
