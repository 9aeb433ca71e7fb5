/** Where Mayastor puts another replica, as its scheduler filters and sorts. */
import type { MayastorCluster } from "./cluster.ts";
import { atLeast } from "./settings.ts";
import type { TruthPool, TruthVolume } from "./truth.ts";

/** Shares of the sort: free space, overcommitment, number of replicas. */
const thinWeights = [40, 35, 25] as const;
const thickWeights = [60, 0, 40] as const;
const overcommitMax = 2.5;
const watermarkBytes = 16 * 1024 ** 2;

/** Pools that may take a replica of the volume, best first. */
export function candidatePools(cluster: MayastorCluster, volume: TruthVolume): TruthPool[] {
  const usedNodes = new Set(
    [...volume.replicas.values()].filter((r) => r.owned).map((replica) => cluster.pool(replica.pool).node),
  );
  const fit = [...cluster.pools.values()].filter(
    (pool) => !usedNodes.has(pool.node) && nodeTakes(cluster, pool) && poolTakes(cluster, pool, volume),
  );
  const scored = fit.map((pool) => ({ pool, score: score(cluster, pool, volume), tie: cluster.prng.float() }));
  const rank = (pool: TruthPool): number => (pool.status === "Online" ? 0 : 1);
  scored.sort((a, b) => rank(a.pool) - rank(b.pool) || b.score - a.score || a.tie - b.tie);
  return scored.map(({ pool }) => pool);
}

function nodeTakes(cluster: MayastorCluster, pool: TruthPool): boolean {
  return cluster.cache.node(pool.node).status === "Online" && cluster.node(pool.node).cordons.size === 0;
}

function poolTakes(cluster: MayastorCluster, pool: TruthPool, volume: TruthVolume): boolean {
  const seen = cluster.cache.node(pool.node).pools.get(pool.id);
  if (seen === undefined || seen.status === "Faulted") return false;
  if (atLeast(cluster.settings, 10) && pool.cordon.replicas) return false;
  const free = cluster.freeBytes(pool);
  const needs = volume.thin ? volume.sizeBytes * 0.4 + watermarkBytes : volume.sizeBytes;
  if (pool.capacityBytes <= volume.sizeBytes || free <= needs) return false;
  if (volume.thin && cluster.committedBytes(pool) + volume.sizeBytes > overcommitMax * pool.capacityBytes) return false;
  return matchesLabels(pool.labels, volume.poolInclusion);
}

/** Whether labels hold all that is included; an empty value stands for any. Exclusion is accepted and ignored, as seen on the real one. */
export function matchesLabels(labels: Record<string, string>, inclusion: Record<string, string>): boolean {
  return Object.entries(inclusion).every(([key, value]) => key in labels && (value === "" || labels[key] === value));
}

function score(cluster: MayastorCluster, pool: TruthPool, volume: TruthVolume): number {
  const [free, overcommit, count] = volume.thin ? thinWeights : thickWeights;
  const replicas = replicasOn(cluster, pool, () => true);
  const sameGroup = replicasOn(cluster, pool, (other) => isSameGroup(other, volume));
  const freeShare = cluster.freeBytes(pool) / pool.capacityBytes;
  const committedShare = cluster.committedBytes(pool) / (overcommitMax * pool.capacityBytes);
  return (
    free * freeShare + overcommit * (1 - committedShare) + count * (1 - Math.min(1, replicas / 100)) - 1000 * sameGroup
  );
}

/** Replicas on the pool of volumes that are meant. */
export function replicasOn(
  cluster: MayastorCluster,
  pool: TruthPool,
  isMeant: (volume: TruthVolume) => boolean,
): number {
  let count = 0;
  for (const volume of cluster.volumes.values()) {
    if (!isMeant(volume)) continue;
    for (const replica of volume.replicas.values()) if (replica.pool === pool.id) count += 1;
  }
  return count;
}

/** Whether another volume belongs to this one's affinity group. */
export function isSameGroup(other: TruthVolume, volume: TruthVolume): boolean {
  return other !== volume && volume.affinityGroup !== undefined && other.affinityGroup === volume.affinityGroup;
}
