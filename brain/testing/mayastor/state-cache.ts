/** What the core last heard from each node. REST tells this, and not what is; some limits are checked against it, too. */
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { MayastorSettings } from "./settings.ts";
import type { Timeline } from "./timeline.ts";
import type { TruthNexus, TruthNode, TruthPool, TruthVolume } from "./truth.ts";

/** What there is to hear of. */
interface Heard {
  readonly prng: Prng;
  readonly timeline: Timeline;
  readonly settings: MayastorSettings;
  readonly nowMs: number;
  readonly coreUp: boolean;
  readonly nodes: ReadonlyMap<string, TruthNode>;
  readonly pools: ReadonlyMap<string, TruthPool>;
  readonly volumes: ReadonlyMap<string, TruthVolume>;
  pool(id: string): TruthPool;
  freeBytes(pool: TruthPool): number;
  committedBytes(pool: TruthPool): number;
}

export interface CachedNexus {
  uuid: string;
  node: string;
  children: { replica: string; state: string; outOfSpace: boolean; rebuildPercent: number | undefined }[];
  /** What the store said of each replica then. */
  healthy: Map<string, boolean>;
}

export interface CachedNode {
  status: "Online" | "Offline";
  /** Undefined while the node is offline. */
  pools: Map<string, { status: TruthPool["status"]; usedBytes: number; committedBytes: number }>;
  /** Replica to its state. */
  replicas: Map<string, "Online" | "Degraded" | "Faulted">;
  /** Volume to its nexus on this node. */
  nexuses: Map<string, CachedNexus>;
}

export class StateCache {
  readonly #cluster: Heard;
  readonly #nodes = new Map<string, CachedNode>();

  constructor(cluster: Heard) {
    this.#cluster = cluster;
  }

  /** Begins to ask the node, at a moment of its own within the period. */
  addNode(node: TruthNode): void {
    const { timeline, settings, prng } = this.#cluster;
    this.#nodes.set(node.id, emptyNode("Online"));
    const ask = () => {
      if (this.#cluster.coreUp && node.up) this.refresh(node.id);
      timeline.after(settings.cachePeriodMs, ask);
    };
    timeline.after(prng.below(settings.cachePeriodMs) + 1, ask);
  }

  node(id: string): CachedNode {
    return this.#nodes.get(id) ?? emptyNode("Offline");
  }

  /** The nexus of a volume on whichever node was last heard to have it. */
  nexus(volume: string): CachedNexus | undefined {
    for (const node of this.#nodes.values()) {
      const nexus = node.nexuses.get(volume);
      if (nexus !== undefined) return nexus;
    }
    return undefined;
  }

  /** Rebuilds that run, as far as known. */
  get rebuilds(): number {
    let sum = 0;
    for (const { nexuses } of this.#nodes.values()) {
      for (const { children } of nexuses.values())
        sum += children.filter((child) => child.rebuildPercent !== undefined).length;
    }
    return sum;
  }

  /** The node is asked now, and answers if it is up. */
  refresh(id: string): void {
    const node = this.#cluster.nodes.get(id);
    if (!node?.up) return;
    const seen = emptyNode("Online");
    for (const pool of this.#cluster.pools.values()) if (pool.node === id) this.#see(pool, seen);
    for (const volume of this.#cluster.volumes.values()) {
      if (volume.nexus?.node === id) seen.nexuses.set(volume.uuid, this.#seeNexus(volume.nexus, volume.uuid));
    }
    this.#nodes.set(id, seen);
  }

  /** An operation changed this volume's nexus, and its answer told how it is now. */
  refreshNexus(volumeUuid: string): void {
    const nexus = this.#cluster.volumes.get(volumeUuid)?.nexus;
    for (const node of this.#nodes.values()) node.nexuses.delete(volumeUuid);
    if (nexus !== undefined) this.node(nexus.node).nexuses.set(volumeUuid, this.#seeNexus(nexus, volumeUuid));
  }

  /** An operation changed this replica. */
  refreshReplica(poolId: string, replica: string, state: "Online" | "Degraded" | "Faulted" | undefined): void {
    const { replicas } = this.node(this.#cluster.pool(poolId).node);
    if (state === undefined) replicas.delete(replica);
    else replicas.set(replica, state);
  }

  /** Its keep-alive ran out. */
  offline(id: string): void {
    this.#nodes.set(id, emptyNode("Offline"));
  }

  #see(pool: TruthPool, seen: CachedNode): void {
    const cluster = this.#cluster;
    const usedBytes = pool.capacityBytes - cluster.freeBytes(pool);
    seen.pools.set(pool.id, { status: pool.status, usedBytes, committedBytes: cluster.committedBytes(pool) });
    for (const volume of cluster.volumes.values()) {
      for (const replica of volume.replicas.values()) {
        if (replica.pool === pool.id && pool.status !== "Faulted") seen.replicas.set(replica.uuid, "Online");
      }
    }
  }

  #seeNexus(nexus: TruthNexus, volumeUuid: string): CachedNexus {
    const healthy = new Map(this.#cluster.volumes.get(volumeUuid)?.nexusInfo?.healthy);
    const children = nexus.children.map((child) => ({
      replica: child.replica,
      state: child.state,
      outOfSpace: child.outOfSpace === true,
      rebuildPercent: rebuildPercent(child.rebuild, this.#cluster.nowMs),
    }));
    return { uuid: nexus.uuid, node: nexus.node, children, healthy };
  }
}

function emptyNode(status: CachedNode["status"]): CachedNode {
  return { status, pools: new Map(), replicas: new Map(), nexuses: new Map() };
}

function rebuildPercent(
  rebuild: { startedMs: number; durationMs: number; stalledAt?: number } | undefined,
  nowMs: number,
): number | undefined {
  if (rebuild === undefined) return undefined;
  const untilMs = rebuild.stalledAt ?? nowMs;
  return Math.min(99, Math.floor((100 * (untilMs - rebuild.startedMs)) / Math.max(1, rebuild.durationMs)));
}
