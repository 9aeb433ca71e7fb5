/** What the simulator keeps of nodes, pools and volumes, in the form in which the REST API tells it. */
import { nexusStatus } from "./nexus.ts";
import type { PoolCordon } from "./truth.ts";

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
  cordon?: PoolCordon;
}

export interface SimReplica {
  uuid: string;
  pool: string | undefined;
  node: string | undefined;
  state: string;
  childStatus: string;
  rebuildProgress?: number;
  outOfSpace?: boolean;
  /** false: the target doesn't use it. */
  child?: boolean;
  /** 2.9 and newer; true unless told otherwise. */
  healthy?: boolean;
  /** All of it unless told otherwise. */
  allocatedBytes?: number;
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
  poolExclusion?: Record<string, string>;
  /** What is known of the target if it differs from what is meant: absent, or elsewhere. */
  target?: { uuid: string; node: string } | "absent";
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
  const bits = pool.cordoned ? { replicas: true } : pool.cordon;
  const isCordoned = newer && bits !== undefined && Object.values(bits).some(Boolean);
  const cordon = isCordoned ? { cordon_drain: { cordon: { ...bits } } } : {};
  const state = { id, node, disks, status, capacity, used, committed, ...(newer ? { encrypted: false } : {}) };
  return {
    id,
    spec: { id, node, disks, labels: { ...labels }, status: "Created", ...cordon },
    ...(status === "absent" ? {} : { state }),
  };
}

export function volumeAnswer(volume: SimVolume, newer: boolean) {
  const { uuid, sizeBytes: size, numReplicas: num_replicas, publishedOn } = volume;
  const pool_topology = { labelled: { exclusion: volume.poolExclusion ?? {}, inclusion: volume.poolInclusion } };
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
    ...(publishedOn === undefined || volume.target === "absent" ? {} : { target: nexusOf(volume, publishedOn) }),
    ...(newer
      ? { health: { cleanShutdown: publishedOn === undefined, healthyReplicas: healthyReplicas(volume) } }
      : {}),
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
    ...(isChild(volume, replica) ? { "child-status": replica.childStatus } : {}),
    ...(replica.outOfSpace === true ? { "child-status-reason": "OutOfSpace" } : {}),
    ...(replica.rebuildProgress === undefined ? {} : { "rebuild-progress": replica.rebuildProgress }),
    usage: {
      capacity,
      allocated: replica.allocatedBytes ?? capacity,
      allocated_snapshots: 0,
      allocated_all_snapshots: 0,
    },
    ...(newer ? { healthy: replica.healthy !== false, encrypted: false } : {}),
  };
}

function isChild(volume: SimVolume, replica: SimReplica): boolean {
  return volume.publishedOn !== undefined && volume.target !== "absent" && replica.child !== false;
}

function healthyReplicas(volume: SimVolume): number {
  return volume.replicas.filter((replica) => replica.healthy !== false).length;
}

function nexusOf(volume: SimVolume, node: string) {
  const children = volume.replicas.filter((replica) => isChild(volume, replica));
  const known = typeof volume.target === "object" ? volume.target : undefined;
  return {
    uuid: known?.uuid ?? `9${volume.uuid.slice(1)}`,
    node: known?.node ?? node,
    size: volume.sizeBytes,
    state: nexusStatus(children.map((replica) => ({ state: replica.childStatus }))),
    protocol: "nvmf",
    deviceUri: `nvmf://10.1.0.5:8420/nqn.2019-05.io.openebs:${volume.uuid}`,
    rebuilds: children.filter((replica) => replica.rebuildProgress !== undefined).length,
    children: children.map((replica) => ({
      uri: uriOf(replica),
      state: replica.childStatus,
      ...(replica.outOfSpace === true ? { state_reason: "OutOfSpace" } : {}),
      ...(replica.rebuildProgress === undefined ? {} : { rebuildProgress: replica.rebuildProgress }),
    })),
  };
}

/** Where a target reaches a replica. */
export function uriOf(replica: Pick<SimReplica, "uuid">): string {
  return `nvmf://10.1.0.5:8420/nqn.2019-05.io.openebs:${replica.uuid}`;
}
