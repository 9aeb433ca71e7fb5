/** What a migration looks at, taken out of Mayastor's answers: one volume, the pools, the nodes. Plain data. */
import type { MayastorNode, MayastorPool, MayastorVolume } from "../mayastor/model.ts";

export interface ReplicaView {
  uuid: string;
  /** Undefined while the control plane doesn't say. */
  pool: string | undefined;
  node: string | undefined;
  state: string;
  /** Of the target's child; undefined when the volume has no target, or this replica is none of its children. */
  child: string | undefined;
  rebuildPercent: number | undefined;
  /** 2.9 and newer. */
  healthy: boolean | undefined;
  allocatedBytes: number | undefined;
}

export interface TargetView {
  uuid: string;
  node: string;
  state: string;
  children: readonly { state: string; rebuilding: boolean }[];
}

/** Labels that are wanted of a node or pool; an empty value stands for any. */
export interface LabelRule {
  inclusion: Readonly<Record<string, string>>;
  exclusion: Readonly<Record<string, string>>;
}

export interface VolumeView {
  uuid: string;
  sizeBytes: number;
  /** How many replicas it is to have. */
  count: number;
  specStatus: string;
  status: string;
  operation: string | undefined;
  selfHeal: boolean;
  snapshots: number;
  affinityGroup: string | undefined;
  /** The node it is to be published on. */
  publishedOn: string | undefined;
  target: TargetView | undefined;
  /** In order of their uuids. */
  replicas: readonly ReplicaView[];
  poolRule: LabelRule;
  nodeRule: LabelRule;
  /** Undefined: any. */
  allowedNodes: readonly string[] | undefined;
}

export interface PoolView {
  name: string;
  node: string;
  labels: Readonly<Record<string, string>>;
  /** Undefined while its node can't be reached. */
  status: string | undefined;
  created: boolean;
  capacityBytes: number;
  freeBytes: number;
  cordoned: boolean;
}

export interface NodeView {
  name: string;
  labels: Readonly<Record<string, string>>;
  status: string;
  /** Labels of its cordons and drains, ours among them. */
  cordons: readonly string[];
  version: string | undefined;
}

export interface ClusterView {
  pools: ReadonlyMap<string, PoolView>;
  nodes: ReadonlyMap<string, NodeView>;
}

const noLabels: LabelRule = { inclusion: {}, exclusion: {} };

export function volumeView({ spec, state }: MayastorVolume): VolumeView {
  const { target, replica_topology } = state;
  const poolRule = spec.topology?.pool_topology?.labelled;
  const nodeRule = spec.topology?.node_topology?.labelled;
  const rule = (found: typeof poolRule): LabelRule =>
    found ? { inclusion: found.inclusion ?? {}, exclusion: found.exclusion ?? {} } : noLabels;
  return {
    uuid: spec.uuid,
    sizeBytes: spec.size,
    count: spec.num_replicas,
    specStatus: spec.status,
    status: state.status,
    operation: spec.operation?.operation,
    selfHeal: spec.policy?.self_heal ?? true,
    snapshots: spec.num_snapshots ?? 0,
    affinityGroup: spec.affinity_group?.id,
    publishedOn: spec.target?.node,
    target: target
      ? {
          uuid: target.uuid,
          node: target.node,
          state: target.state,
          children: target.children.map((child) => ({
            state: child.state,
            rebuilding: typeof child.rebuildProgress === "number",
          })),
        }
      : undefined,
    replicas: Object.entries(replica_topology)
      .map(([uuid, found]) => replicaView(uuid, found))
      .sort((a, b) => (a.uuid < b.uuid ? -1 : 1)),
    poolRule: rule(poolRule),
    nodeRule: rule(nodeRule),
    allowedNodes: spec.topology?.node_topology?.explicit?.allowed_nodes,
  };
}

function replicaView(uuid: string, found: MayastorVolume["state"]["replica_topology"][string]): ReplicaView {
  return {
    uuid,
    pool: found.pool ?? undefined,
    node: found.node ?? undefined,
    state: found.state,
    child: found["child-status"] ?? undefined,
    rebuildPercent: found["rebuild-progress"] ?? undefined,
    healthy: found.healthy ?? undefined,
    allocatedBytes: found.usage?.allocated ?? undefined,
  };
}

export function clusterView(pools: readonly MayastorPool[], nodes: readonly MayastorNode[]): ClusterView {
  return {
    pools: new Map(pools.map((pool) => [pool.id, poolView(pool)])),
    nodes: new Map(nodes.map((node) => [node.id, nodeView(node)])),
  };
}

function poolView({ id, spec, state }: MayastorPool): PoolView {
  return {
    name: id,
    node: spec?.node ?? state?.node ?? "",
    labels: spec?.labels ?? {},
    status: state?.status,
    created: spec?.status === "Created",
    capacityBytes: state?.capacity ?? 0,
    freeBytes: state ? Math.max(0, state.capacity - state.used) : 0,
    cordoned: isCordoned(spec?.cordon_drain),
  };
}

/** The form of a pool's cordon differs between versions: where it says whether replicas are kept away, that; otherwise whether there is one. */
function isCordoned(form: unknown): boolean {
  if (form === undefined || form === null) return false;
  if (typeof form !== "object") return form !== false;
  const found = replicasFlag(form as Record<string, unknown>, 0);
  return found ?? Object.keys(form).length > 0;
}

const formDepthMax = 4;

function replicasFlag(form: Record<string, unknown>, depth: number): boolean | undefined {
  if (typeof form["replicas"] === "boolean") return form["replicas"];
  if (depth >= formDepthMax) return undefined;
  for (const inner of Object.values(form)) {
    if (typeof inner !== "object" || inner === null) continue;
    const found = replicasFlag(inner as Record<string, unknown>, depth + 1);
    if (found !== undefined) return found;
  }
  return undefined;
}

function nodeView({ id, spec, state }: MayastorNode): NodeView {
  return {
    name: id,
    labels: spec?.labels ?? {},
    status: state?.status ?? "Unknown",
    cordons: cordonLabels(spec?.cordondrainstate),
    version: spec?.version ?? state?.version ?? undefined,
  };
}

/** Every text in it is the label of a cordon or a drain, whichever of its forms it has. */
function cordonLabels(form: unknown): string[] {
  if (typeof form === "string") return [form];
  if (typeof form !== "object" || form === null) return [];
  return Object.values(form).flatMap(cordonLabels);
}
