/** The cluster as REST tells it: records as they are, states as they were last heard. */
import {
  nodeAnswer,
  poolAnswer,
  replicaAnswers,
  type SimReplica,
  type SimVolume,
  uriOf,
  volumeAnswer,
} from "./answers.ts";
import type { MayastorCluster } from "./cluster.ts";
import { nexusStatus } from "./nexus.ts";
import { atLeast } from "./settings.ts";
import type { CachedNexus } from "./state-cache.ts";
import type { TruthNode, TruthPool, TruthReplica, TruthVolume } from "./truth.ts";

export function nodeView(cluster: MayastorCluster, node: TruthNode): unknown {
  const { minor, patch } = cluster.settings.version;
  const { status } = cluster.cache.node(node.id);
  const { id, labels } = node;
  return nodeAnswer({ id, labels, status, cordons: [...node.cordons], version: `v2.${minor}.${patch}` });
}

export function poolView(cluster: MayastorCluster, pool: TruthPool): unknown {
  const seen = cluster.cache.node(pool.node).pools.get(pool.id);
  const { id, node, labels, capacityBytes, cordon } = pool;
  const { usedBytes = 0, committedBytes = 0, status = "absent" } = seen ?? {};
  return poolAnswer(
    { id, node, labels, capacityBytes, usedBytes, committedBytes, status, cordon },
    atLeast(cluster.settings, 10),
  );
}

export function volumeView(cluster: MayastorCluster, volume: TruthVolume): unknown {
  return volumeAnswer(shown(cluster, volume), atLeast(cluster.settings, 9));
}

export function replicaViews(cluster: MayastorCluster, volume: TruthVolume): unknown[] {
  return replicaAnswers(shown(cluster, volume));
}

/** Of the rebuilds of a target that is there, newest first. */
export function rebuildHistoryView(volume: TruthVolume): unknown {
  const blockSize = 512;
  const records = [...(volume.nexus?.history ?? [])].reverse().map((record) => {
    const blocksTotal = Math.floor(
      (volume.replicas.get(record.replica)?.allocatedBytes ?? volume.sizeBytes) / blockSize,
    );
    const blocksRecovered = record.state === "Completed" ? blocksTotal : Math.floor(blocksTotal / 2);
    return {
      childUri: uriOf({ uuid: record.replica }),
      srcUri: uriOf({ uuid: record.source }),
      rebuildJobState: record.state,
      blocksTotal,
      blocksRecovered,
      blocksTransferred: blocksRecovered,
      blocksRemaining: blocksTotal - blocksRecovered,
      blockSize,
      isPartial: false,
      startTime: new Date(record.startedMs).toISOString(),
      endTime: new Date(record.endedMs).toISOString(),
    };
  });
  return { targetUuid: volume.nexus?.uuid, records };
}

function shown(cluster: MayastorCluster, volume: TruthVolume): SimVolume {
  const nexus = cluster.cache.nexus(volume.uuid);
  const owned = [...volume.replicas.values()].filter((replica) => replica.owned);
  const { uuid, sizeBytes, numReplicas, thin, selfHeal, snapshots, poolInclusion, poolExclusion } = volume;
  return {
    uuid,
    sizeBytes,
    numReplicas,
    thin,
    selfHeal,
    snapshots,
    poolInclusion,
    poolExclusion,
    publishedOn: volume.target,
    replicas: owned.map((replica) => shownReplica(cluster, volume, replica, nexus)),
    status: volumeStatus(cluster, volume, owned, nexus),
    target: nexus ?? "absent",
    ...(volume.operation === undefined ? {} : { operation: volume.operation }),
    ...(volume.affinityGroup === undefined ? {} : { affinityGroup: volume.affinityGroup }),
  };
}

function shownReplica(
  cluster: MayastorCluster,
  volume: TruthVolume,
  replica: TruthReplica,
  nexus: CachedNexus | undefined,
): SimReplica {
  const { node } = cluster.pool(replica.pool);
  const child = nexus?.children.find((found) => found.replica === replica.uuid);
  const healthy = nexus === undefined ? volume.nexusInfo?.healthy : nexus.healthy;
  return {
    uuid: replica.uuid,
    pool: replica.pool,
    node,
    state: cluster.cache.node(node).replicas.get(replica.uuid) ?? "Unknown",
    childStatus: child?.state ?? "Unknown",
    child: child !== undefined,
    healthy: healthy === undefined || healthy.get(replica.uuid) === true,
    allocatedBytes: replica.allocatedBytes,
    ...(child?.rebuildPercent === undefined ? {} : { rebuildProgress: child.rebuildPercent }),
    ...(child?.outOfSpace === true ? { outOfSpace: true } : {}),
  };
}

function volumeStatus(
  cluster: MayastorCluster,
  volume: TruthVolume,
  owned: readonly TruthReplica[],
  nexus: CachedNexus | undefined,
): string {
  if (volume.target !== undefined) {
    if (nexus === undefined) return "Unknown";
    return nexus.children.length === volume.numReplicas
      ? nexusStatus(nexus.children)
      : degraded(nexusStatus(nexus.children));
  }
  // Before 2.12 the records are counted, whatever is in the replicas.
  const counted = atLeast(cluster.settings, 12)
    ? owned.filter((replica) => volume.nexusInfo === undefined || volume.nexusInfo.healthy.get(replica.uuid) === true)
    : owned;
  return counted.length >= volume.numReplicas ? "Online" : "Degraded";
}

function degraded(status: string): string {
  return status === "Online" ? "Degraded" : status;
}
