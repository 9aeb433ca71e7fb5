/** What the simulator keeps of nodes, pools and volumes, in the form in which the REST API tells it. */

export interface SimNode {
  id: string;
  labels: Record<string, string>;
  status: string;
  cordons: string[];
  version: string;
}

export interface SimPool {
  id: string;
  node: string;
  labels: Record<string, string>;
  /** `absent`: the pool's node is not reachable, and there is no state. */
  status: string;
  capacityBytes: number;
  usedBytes: number;
  committedBytes: number;
  /** Served by newer versions only. */
  cordoned?: boolean;
}

export interface SimReplica {
  uuid: string;
  pool: string | undefined;
  node: string | undefined;
  state: string;
  childStatus: string;
  rebuildProgress?: number;
}

export interface SimVolume {
  uuid: string;
  sizeBytes: number;
  numReplicas: number;
  replicas: SimReplica[];
  status: string;
  thin: boolean;
  selfHeal: boolean;
  snapshots: number;
  publishedOn: string | undefined;
  poolInclusion: Record<string, string>;
  operation?: string;
  affinityGroup?: string;
}

export function nodeAnswer(node: SimNode) {
  const { id, labels, status, cordons, version } = node;
  const grpcEndpoint = "10.1.0.5:10124";
  const cordoned = cordons.length === 0 ? {} : { cordondrainstate: { cordonedstate: { cordonlabels: cordons } } };
  return { id, spec: { id, grpcEndpoint, labels, version, ...cordoned }, state: { id, grpcEndpoint, status, version } };
}

export function poolAnswer(pool: SimPool, newer: boolean) {
  const { id, node, labels, status, capacityBytes: capacity, usedBytes: used, committedBytes: committed } = pool;
  const disks = [`aio:///dev/disk-${id}`];
  const cordon = newer && pool.cordoned ? { cordon_drain: { cordon: { replicas: true } } } : {};
  const state = { id, node, disks, status, capacity, used, committed, ...(newer ? { encrypted: false } : {}) };
  return {
    id,
    spec: { id, node, disks, labels, status: "Created", ...cordon },
    ...(status === "absent" ? {} : { state }),
  };
}

export function volumeAnswer(volume: SimVolume, newer: boolean) {
  const { uuid, sizeBytes: size, numReplicas: num_replicas, publishedOn } = volume;
  const pool_topology = { labelled: { exclusion: {}, inclusion: volume.poolInclusion } };
  const spec = {
    uuid,
    size,
    num_replicas,
    status: "Created",
    policy: { self_heal: volume.selfHeal },
    thin: volume.thin,
    num_snapshots: volume.snapshots,
    topology: { pool_topology },
    ...(publishedOn === undefined ? {} : { target: { node: publishedOn, protocol: "nvmf" } }),
    ...(volume.operation === undefined ? {} : { operation: { operation: volume.operation } }),
    ...(volume.affinityGroup === undefined ? {} : { affinity_group: { id: volume.affinityGroup } }),
  };
  const state = {
    uuid,
    size,
    status: volume.status,
    replica_topology: Object.fromEntries(
      volume.replicas.map((replica) => [replica.uuid, topologyOf(volume, replica, newer)]),
    ),
    ...(publishedOn === undefined ? {} : { target: nexusOf(volume, publishedOn) }),
    ...(newer ? { health: { cleanShutdown: false, healthyReplicas: volume.replicas.length } } : {}),
  };
  return { spec, state };
}

export function replicaAnswers(volume: SimVolume) {
  return volume.replicas.map((replica) => ({
    uuid: replica.uuid,
    node: replica.node ?? "",
    pool: replica.pool ?? "",
    size: volume.sizeBytes,
    state: replica.state,
    thin: volume.thin,
    share: "nvmf",
    uri: uriOf(replica),
    kind: "Regular",
  }));
}

function topologyOf(volume: SimVolume, replica: SimReplica, newer: boolean) {
  const capacity = volume.sizeBytes;
  return {
    ...(replica.node === undefined ? {} : { node: replica.node }),
    ...(replica.pool === undefined ? {} : { pool: replica.pool }),
    state: replica.state,
    ...(volume.publishedOn === undefined ? {} : { "child-status": replica.childStatus }),
    ...(replica.rebuildProgress === undefined ? {} : { "rebuild-progress": replica.rebuildProgress }),
    usage: { capacity, allocated: capacity, allocated_snapshots: 0, allocated_all_snapshots: 0 },
    ...(newer ? { healthy: true, encrypted: false } : {}),
  };
}

function nexusOf(volume: SimVolume, node: string) {
  return {
    uuid: `9${volume.uuid.slice(1)}`,
    node,
    size: volume.sizeBytes,
    state: volume.status === "Online" ? "Online" : "Degraded",
    protocol: "nvmf",
    deviceUri: `nvmf://10.1.0.5:8420/nqn.2019-05.io.openebs:${volume.uuid}`,
    rebuilds: volume.replicas.filter((replica) => replica.rebuildProgress !== undefined).length,
    children: volume.replicas.map((replica) => ({
      uri: uriOf(replica),
      state: replica.childStatus,
      ...(replica.rebuildProgress === undefined ? {} : { rebuildProgress: replica.rebuildProgress }),
    })),
  };
}

function uriOf(replica: SimReplica): string {
  return `nvmf://10.1.0.5:8420/nqn.2019-05.io.openebs:${replica.uuid}`;
}
