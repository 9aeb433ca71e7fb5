/**
 * A cluster as it really is: nodes, pools, replicas, nexuses, and the records that Mayastor's core keeps in its store. Everything that
 * changes which replicas hold what data goes through `transition`, so that checks see every change and who is behind it.
 *
 * **Healthy copies** of a volume: replicas that hold all data ever acknowledged, are named by its record, whose disk is not lost, and that are
 * not chosen for removal. Whether their node answers just now does not matter, as nothing is lost by a restart. A copy on a pool that stands on an
 * erasure-coded volume counts as losses + 1 while that volume is healthy, else as one.
 */
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { type MayastorSettings, mayastorSettings } from "./settings.ts";
import { StateCache } from "./state-cache.ts";
import { Timeline } from "./timeline.ts";
import {
  type Actor,
  internalLabel,
  type Transition,
  type TruthNode,
  type TruthPool,
  type TruthReplica,
  type TruthVolume,
} from "./truth.ts";

export interface ClusterOptions {
  prng: Prng;
  nowMs?: number;
  settings?: Partial<MayastorSettings>;
}

export class MayastorCluster {
  readonly prng: Prng;
  readonly timeline: Timeline;
  readonly settings: MayastorSettings;
  readonly cache: StateCache;
  readonly nodes = new Map<string, TruthNode>();
  readonly pools = new Map<string, TruthPool>();
  readonly volumes = new Map<string, TruthVolume>();
  /** The core does not answer before then; work in flight when it went is lost. */
  coreDownUntilMs = 0;
  /** Counts the starts of the core: what an earlier one had begun does not go on. */
  coreStarts = 0;
  /** Nothing can be written into the store. */
  storeDown = false;
  /** Told of each change of truth, right after it. */
  readonly onTransition: ((transition: Transition) => void)[] = [];
  /** 0: replicas are listed in the order they were made; otherwise by a hash with this number. */
  #listSalt = 0;

  constructor(options: ClusterOptions) {
    this.prng = options.prng;
    this.timeline = new Timeline(options.nowMs ?? 0);
    this.settings = { ...mayastorSettings, ...options.settings };
    this.cache = new StateCache(this);
  }

  get nowMs(): number {
    return this.timeline.nowMs;
  }

  get coreUp(): boolean {
    return this.nowMs >= this.coreDownUntilMs;
  }

  addNode(id: string, labels: Record<string, string> = {}): TruthNode {
    const node: TruthNode = { id, labels, up: true, cordons: new Set(), dirty: false };
    this.nodes.set(id, node);
    this.cache.addNode(node);
    return node;
  }

  addPool(id: string, node: string, labels: Record<string, string>, more: Partial<TruthPool> = {}): TruthPool {
    if (!this.nodes.has(node)) this.addNode(node);
    const pool: TruthPool = {
      id,
      node,
      labels: { [internalLabel]: "operator-diskpool", ...labels },
      status: "Online",
      lost: false,
      capacityBytes: 1024 ** 4,
      otherBytes: 0,
      cordon: { replicas: false, snapshots: false, restores: false, import: false },
      refusesReplicas: false,
      ...more,
    };
    this.pools.set(id, pool);
    this.cache.refresh(node);
    return pool;
  }

  /** A volume with complete replicas on these pools. Call `publish` of `environment.ts` for it to have a target. */
  addVolume(uuid: string, poolIds: readonly string[], more: Partial<TruthVolume> = {}): TruthVolume {
    const volume: TruthVolume = {
      uuid,
      sizeBytes: 1024 ** 3,
      numReplicas: poolIds.length,
      thin: true,
      selfHeal: true,
      snapshots: 0,
      target: undefined,
      nexus: undefined,
      poolInclusion: { [internalLabel]: "operator-diskpool" },
      poolExclusion: {},
      affinityGroup: undefined,
      operation: undefined,
      replicas: new Map(),
      nexusInfo: undefined,
      busy: undefined,
      ...more,
    };
    this.volumes.set(uuid, volume);
    for (const pool of poolIds) this.addReplica(volume, pool).complete = true;
    for (const pool of poolIds) this.cache.refresh(this.pool(pool).node);
    return volume;
  }

  /** A new replica, empty. */
  addReplica(volume: TruthVolume, pool: string, owned = true): TruthReplica {
    const replica: TruthReplica = {
      uuid: this.prng.uuid(),
      volume: volume.uuid,
      pool: this.pool(pool).id,
      allocatedBytes: Math.ceil(volume.sizeBytes * (volume.thin ? 0.6 : 1)),
      complete: false,
      owned,
      condemned: false,
    };
    volume.replicas.set(replica.uuid, replica);
    return replica;
  }

  pool(id: string): TruthPool {
    const pool = this.pools.get(id);
    if (pool === undefined) throw new Error(`the simulator has no pool ${id}`);
    return pool;
  }

  node(id: string): TruthNode {
    const node = this.nodes.get(id);
    if (node === undefined) throw new Error(`the simulator has no node ${id}`);
    return node;
  }

  volume(uuid: string): TruthVolume {
    const volume = this.volumes.get(uuid);
    if (volume === undefined) throw new Error(`the simulator has no volume ${uuid}`);
    return volume;
  }

  /** Whether a replica's bytes can be reached right now. */
  reachable(replica: TruthReplica): boolean {
    const pool = this.pool(replica.pool);
    return pool.status !== "Faulted" && !pool.lost && this.node(pool.node).up;
  }

  /** What a healthy copy on this pool counts for. */
  worth(poolId: string): number {
    const code = this.pool(poolId).erasureCoded;
    return code?.healthy ? code.lossesMax + 1 : 1;
  }

  isHealthyCopy(replica: TruthReplica): boolean {
    return replica.complete && replica.owned && !replica.condemned && !this.pool(replica.pool).lost;
  }

  /** Healthy copies of a volume, as defined at the top of this file; 0 for one that is gone. */
  copies(uuid: string): number {
    let sum = 0;
    for (const replica of this.volumes.get(uuid)?.replicas.values() ?? []) {
      if (this.isHealthyCopy(replica)) sum += this.worth(replica.pool);
    }
    return sum;
  }

  freeBytes(pool: TruthPool): number {
    let used = pool.otherBytes;
    for (const volume of this.volumes.values()) {
      for (const replica of volume.replicas.values()) if (replica.pool === pool.id) used += replica.allocatedBytes;
    }
    return Math.max(0, pool.capacityBytes - used);
  }

  /** What all replicas on the pool may grow to. */
  committedBytes(pool: TruthPool): number {
    let sum = 0;
    for (const volume of this.volumes.values()) {
      for (const replica of volume.replicas.values()) if (replica.pool === pool.id) sum += volume.sizeBytes;
    }
    return sum;
  }

  /** Changes what really is. */
  transition(volume: TruthVolume, by: Actor, what: string, change: () => void): void {
    const copiesBefore = this.copies(volume.uuid);
    const countBefore = volume.numReplicas;
    change();
    const deleted = !this.volumes.has(volume.uuid);
    const transition: Transition = {
      atMs: this.nowMs,
      volume: volume.uuid,
      by,
      what,
      copiesBefore,
      copiesAfter: this.copies(volume.uuid),
      countBefore,
      countAfter: volume.numReplicas,
      deleted,
    };
    for (const told of this.onTransition) told(transition);
  }

  /** Replicas of a volume's record in the order in which the core goes through them. It is not always the same. */
  listed(volume: TruthVolume): TruthReplica[] {
    const owned = [...volume.replicas.values()].filter((replica) => replica.owned && !replica.condemned);
    if (this.#listSalt === 0) return owned;
    const rank = (uuid: string): number => Bun.hash.crc32(uuid, this.#listSalt);
    return owned.sort((a, b) => rank(a.uuid) - rank(b.uuid));
  }

  /** Something unrelated happened that turns the order of lists over. */
  shuffleLists(): void {
    this.#listSalt = this.prng.below(2 ** 31) + 1;
  }
}
