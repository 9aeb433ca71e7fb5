/** Volumes, pools, nodes and journals as the state machine sees them, for tests of single judgements. */
import type { MigrationSpec, MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { emptyStatus, type Journal } from "../journal.ts";
import { soundRules } from "../rules.ts";
import { migrationSettings } from "../settings.ts";
import type { Observation, Turn } from "../turn.ts";
import type { ServerVersion } from "../version.ts";
import type { ClusterView, NodeView, PoolView, ReplicaView, VolumeView } from "../view.ts";

export const gib = 1024 ** 3;

/** A complete replica: `replica("a", "hot-1")` is on `node-1`. */
export function replica(uuid: string, pool: string, more: Partial<ReplicaView> = {}): ReplicaView {
  const node = `node-${pool.split("-")[1]}`;
  return {
    uuid,
    pool,
    node,
    state: "Online",
    child: "Online",
    rebuildPercent: undefined,
    healthy: true,
    allocatedBytes: undefined,
    ...more,
  };
}

/** A published volume at rest. */
export function volume(replicas: readonly ReplicaView[], more: Partial<VolumeView> = {}): VolumeView {
  const children = replicas.map(({ child, rebuildPercent }) => ({
    state: child ?? "Unknown",
    rebuilding: rebuildPercent !== undefined,
  }));
  const whole = children.every(({ state }) => state === "Online");
  return {
    uuid: "00000000-0000-4000-8000-000000000001",
    sizeBytes: gib,
    count: replicas.length,
    specStatus: "Created",
    status: whole ? "Online" : "Degraded",
    operation: undefined,
    selfHeal: true,
    snapshots: 0,
    affinityGroup: undefined,
    publishedOn: "node-9",
    target: { uuid: "nexus", node: "node-9", state: whole ? "Online" : "Degraded", children },
    replicas,
    poolRule: { inclusion: { tier: "" }, exclusion: {} },
    nodeRule: { inclusion: {}, exclusion: {} },
    allowedNodes: undefined,
    ...more,
  };
}

/** Pools named `tier-n` on `node-n`, all well. */
export function cluster(
  pools: readonly string[],
  change: { pools?: Record<string, Partial<PoolView>>; nodes?: Record<string, Partial<NodeView>> } = {},
): ClusterView {
  const poolViews = pools.map((name): PoolView => {
    const [tier = "", n] = name.split("-");
    return {
      name,
      node: `node-${n}`,
      labels: { tier },
      status: "Online",
      created: true,
      capacityBytes: 100 * gib,
      freeBytes: 50 * gib,
      cordoned: false,
      ...change.pools?.[name],
    };
  });
  const names = new Set([...poolViews.map(({ node }) => node), ...Object.keys(change.nodes ?? {})]);
  const nodeViews = [...names].map(
    (name): NodeView => ({
      name,
      labels: {},
      status: "Online",
      cordons: [],
      version: "v2.10.0",
      ...change.nodes?.[name],
    }),
  );
  return {
    pools: new Map(poolViews.map((pool) => [pool.name, pool])),
    nodes: new Map(nodeViews.map((node) => [node.name, node])),
  };
}

export const newest: ServerVersion = {
  poolCordon: true,
  nodeCordonAware: true,
  topologyAware: true,
  text: "2.10 or newer",
};

/** Moves these replicas onto these pools. */
export function spec(
  from: readonly ReplicaView[],
  toPools: string[],
  more: Partial<MigrationSpec> = {},
): MigrationSpec {
  return {
    volumeName: "pvc-1",
    volumeUuid: "00000000-0000-4000-8000-000000000001",
    mover: "Mayastor",
    fromTier: "hot",
    toTier: "cold",
    originalReplicaCount: from.length,
    finalReplicaCount: from.length,
    replicas: from.map(({ uuid, pool = "", node = "" }) => ({
      replicaUuid: uuid,
      fromPool: pool,
      fromNode: node,
      toPools,
    })),
    sizeBytes: gib,
    reason: "a test",
    timeout: "30m",
    preservationMode: false,
    abort: false,
    ...more,
  };
}

export function journal(
  of: MigrationSpec,
  status: Partial<MigrationStatus> = {},
  more: Partial<Journal> = {},
): Journal {
  return {
    name: "move",
    uid: "0123456789abcdef",
    generation: 1,
    spec: of,
    status: { ...emptyStatus, ...status },
    deleting: false,
    ...more,
  };
}

/** Everything read, everything settled, nobody else about. */
export function observation(
  seen: Observation["seen"],
  view: ClusterView,
  more: Partial<Observation> = {},
): Observation {
  return {
    now: "2026-01-01T00:00:00.000Z",
    nonce: "00c0ffee",
    elapsedMs: 0,
    pendingMs: 0,
    endingMs: 0,
    seen,
    settle: settled,
    cluster: { view, version: newest, ageMs: 0 },
    copiesByPool: new Map(),
    rebuildProven: undefined,
    unchangedMs: 0,
    lastCall: undefined,
    uncertainMs: undefined,
    others: { sameVolume: undefined, copying: 0, reservedBytes: new Map(), steering: [], cordonedNodes: new Set() },
    locks: { placement: "free", removal: "free" },
    ...more,
  };
}

export const settled = {
  shapeMs: 60_000,
  shapeReads: 12,
  healthMs: 60_000,
  healthReads: 12,
  countMs: 60_000,
  countReads: 12,
};
export const unsettled = {
  shapeMs: 30_000,
  shapeReads: 6,
  healthMs: 30_000,
  healthReads: 6,
  countMs: 30_000,
  countReads: 6,
};

export function turn(of: Journal, seen: Observation, allow: Partial<Turn["settings"]["allow"]> = {}): Turn {
  const settings = { ...migrationSettings, allow: { ...migrationSettings.allow, ...allow } };
  return { journal: of, status: of.status, seen, settings, rules: soundRules };
}
