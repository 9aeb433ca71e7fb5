/**
 * Nodes and pools by heartbeat. What is live is kept in memory and timed by the monotonic clock, so a wall clock that jumps changes nothing;
 * StorageNode objects are written on transitions only.
 */
import { type Heartbeat, type HeartbeatAnswer, heartbeatSchema, type PoolInfo } from "@couchestor/common/api/nodes.ts";
import { protocolVersion } from "@couchestor/common/api/primitives.ts";
import { storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseOrThrow } from "@couchestor/common/errors/from-zod.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import { z } from "zod";
import type { BrainContext } from "../ports.ts";
import { readAll } from "../store/read-all.ts";
import type { ClusterIdentity } from "./cluster.ts";
import { differsInSubstance, judgeInstance, type LiveNode, poolsOf } from "./live-node.ts";
import { type DeviceConditions, NodeWriter, type StoredListener } from "./node-writer.ts";

export interface InventoryOptions {
  heartbeatEveryMs: number;
  offlineAfterMs: number;
  /** Nodes beyond this are refused. */
  nodesMax?: number;
}

export type InventoryListener = (event: {
  node: LiveNode;
  what: "online" | "offline" | "restarted" | "changed";
}) => void;

const foreignMax = 4096;

export class Inventory {
  readonly #context: BrainContext;
  readonly #cluster: ClusterIdentity;
  readonly #options: Required<InventoryOptions>;
  readonly #nodes = new Map<string, LiveNode>();
  /** Pool → node that last reported it. */
  readonly #hosts = new Map<string, LiveNode>();
  readonly #listeners: InventoryListener[] = [];
  readonly #writer: NodeWriter;
  readonly #foreign = new Set<string>();
  #leaving: ReadonlySet<string> = new Set();
  #startedMs = 0;

  constructor(context: BrainContext, cluster: ClusterIdentity, options: InventoryOptions) {
    this.#context = context;
    this.#cluster = cluster;
    this.#options = { nodesMax: 10_000, ...options };
    this.#writer = new NodeWriter(context);
    this.#startedMs = context.clock.monotonicMs();
  }

  /** Loads what the store knows; those nodes count as unheard until they speak or `offlineAfterMs` has passed. */
  async load(): Promise<void> {
    this.#startedMs = this.#context.clock.monotonicMs();
    const { store, log } = this.#context;
    for (const object of await readAll(store, storageNodeKind, (node, { message }) => log.error({ node }, message))) {
      if (!object.status) continue;
      const node = this.#blank(object.metadata.name);
      node.stored = object.status;
      node.sinceIso = object.status.since;
      this.#nodes.set(node.name, node);
      for (const pool of object.status.pools) this.#hosts.set(pool.poolUuid, node);
    }
  }

  /** Called on every change that placement, repair or acts may care about. */
  onChange(listener: InventoryListener): void {
    this.#listeners.push(listener);
  }

  nodes(): IterableIterator<LiveNode> {
    return this.#nodes.values();
  }

  node(name: string): LiveNode | undefined {
    return this.#nodes.get(name);
  }

  /** The node that holds a pool, with the pool as last reported. */
  host(poolUuid: string): { node: LiveNode; pool: PoolInfo } | undefined {
    const node = this.#hosts.get(poolUuid);
    if (!node) return undefined;
    const pool = poolsOf(node).find((p) => p.poolUuid === poolUuid) ?? node.vanished.get(poolUuid)?.pool;
    return pool && { node, pool };
  }

  /** Nodes that are Online now and have reported in this process. */
  online(): (LiveNode & { heartbeat: Heartbeat })[] {
    return [...this.#nodes.values()].filter(
      (n): n is LiveNode & { heartbeat: Heartbeat } => n.state === "Online" && n.heartbeat !== undefined,
    );
  }

  /** Takes a heartbeat as it came. Throws `IncompatibleVersion`, `InvalidArgument`, `Conflict` or `WrongCluster`, with a text for the agent's log. */
  heartbeat(pathNodeName: string, raw: unknown): HeartbeatAnswer {
    const heartbeat = parseHeartbeat(pathNodeName, raw);
    const known = this.#nodes.get(heartbeat.nodeName);
    if (!known && this.#nodes.size >= this.#options.nodesMax) {
      throw new AppError("FailedPrecondition", `this brain keeps at most ${this.#options.nodesMax} nodes`);
    }
    this.#cluster.check(heartbeat.nodeName, heartbeat.pools);
    this.#refuseSharedPools(heartbeat);
    this.#accept(known ?? this.#blank(heartbeat.nodeName), this.#withoutForeignPools(heartbeat));
    return {
      ...(this.#cluster.uuid === undefined ? {} : { clusterUuid: this.#cluster.uuid }),
      heartbeatEveryMs: this.#options.heartbeatEveryMs,
    };
  }

  /** Takes silent nodes for Offline. Call it often. */
  tick(): void {
    const now = this.#context.clock.monotonicMs();
    for (const node of this.#nodes.values()) {
      if (node.state === "Offline" || now - node.lastHeardMs <= this.#options.offlineAfterMs) continue;
      node.state = "Offline";
      node.offlineSinceMs = node.lastHeardMs;
      node.sinceIso = isoNow(this.#context.clock);
      this.#context.log.warn({ nodeName: node.name }, "node is offline");
      this.#tell(node, "offline");
    }
    this.#writer.retry();
  }

  /** Pools on failing devices: nothing is put there while there is room elsewhere. */
  get leaving(): ReadonlySet<string> {
    return this.#leaving;
  }

  setLeaving(poolUuids: ReadonlySet<string>): void {
    this.#leaving = poolUuids;
  }

  /** Who knows what StorageNodes say of their devices. */
  describeDevices(describe: DeviceConditions): void {
    this.#writer.describeDevices(describe);
  }

  /** Called when a StorageNode's status has been written. */
  onStored(listener: StoredListener): void {
    this.#writer.onStored(listener);
  }

  /** What is said of the node has changed though the node has not. */
  rewrite(nodeName: string): void {
    const node = this.#nodes.get(nodeName);
    if (node) this.#writer.write(node);
  }

  /** Waits until what changed is in the store. For shutdown and tests. */
  async flush(): Promise<void> {
    await this.#writer.flush();
  }

  #accept(node: LiveNode, heartbeat: Heartbeat): void {
    const verdict = judgeInstance(node, heartbeat.instanceUuid);
    if (verdict === "rival") throw rivalError(node, heartbeat);
    const before = node.heartbeat;
    if (verdict === "reinstated") {
      node.rivalInstance = before?.instanceUuid;
      node.previousInstance = undefined;
      this.#context.log.error(
        { nodeName: node.name, keeps: heartbeat.instanceUuid, refused: node.rivalInstance },
        "two agents run under one node name; the later one is refused",
      );
    }
    if (verdict === "replaced") {
      node.previousInstance = before?.instanceUuid;
      if (node.rivalInstance === heartbeat.instanceUuid) node.rivalInstance = undefined;
    }
    this.#nodes.set(node.name, node);
    this.#notePools(node, heartbeat);
    const wasOnline = node.state === "Online";
    node.heartbeat = heartbeat;
    node.lastHeardMs = this.#context.clock.monotonicMs();
    node.state = "Online";
    node.offlineSinceMs = undefined;
    if (!wasOnline) {
      if (before !== undefined || node.stored?.state !== "Online") node.sinceIso = isoNow(this.#context.clock);
      this.#tell(node, "online");
    } else if (verdict === "replaced" || verdict === "reinstated") this.#tell(node, "restarted");
    else if (differsInSubstance(before, heartbeat)) this.#tell(node, "changed");
  }

  #notePools(node: LiveNode, heartbeat: Heartbeat): void {
    const now = this.#context.clock.monotonicMs();
    const reported = new Set(heartbeat.pools.map((p) => p.poolUuid));
    for (const pool of poolsOf(node)) {
      if (
        !reported.has(pool.poolUuid) &&
        this.#hosts.get(pool.poolUuid) === node &&
        !node.vanished.has(pool.poolUuid)
      ) {
        node.vanished.set(pool.poolUuid, { pool, sinceMs: now });
      }
    }
    for (const pool of heartbeat.pools) {
      node.vanished.delete(pool.poolUuid);
      const old = this.#hosts.get(pool.poolUuid);
      if (old && old !== node) old.vanished.delete(pool.poolUuid);
      this.#hosts.set(pool.poolUuid, node);
    }
  }

  #refuseSharedPools(heartbeat: Heartbeat): void {
    const uuids = new Set<string>();
    for (const pool of heartbeat.pools) {
      const host = this.#hosts.get(pool.poolUuid);
      const elsewhere =
        host && host.name !== heartbeat.nodeName && host.state === "Online" && !host.vanished.has(pool.poolUuid);
      if (!elsewhere && !uuids.has(pool.poolUuid)) {
        uuids.add(pool.poolUuid);
        continue;
      }
      throw new AppError(
        "Conflict",
        `pool ${pool.poolName} (${pool.poolUuid}) of node ${heartbeat.nodeName} is also reported by node ${elsewhere ? host.name : heartbeat.nodeName}: a copied pool? Stop one of them; two copies of one pool are never used`,
        { data: { poolUuid: pool.poolUuid, nodes: [heartbeat.nodeName, host?.name ?? heartbeat.nodeName] } },
      );
    }
  }

  /** A disk of another cluster in a node of ours is left out, so that it does not take the node's other disks with it. */
  #withoutForeignPools(heartbeat: Heartbeat): Heartbeat {
    const ours = this.#cluster.uuid;
    if (ours === undefined) return heartbeat;
    const pools = heartbeat.pools.filter((p) => p.clusterUuid === ours || /^[0-]+$/.test(p.clusterUuid));
    for (const pool of heartbeat.pools) if (!pools.includes(pool)) this.#tellForeign(heartbeat.nodeName, pool, ours);
    return pools.length === heartbeat.pools.length ? heartbeat : { ...heartbeat, pools };
  }

  /** Once a pool, not with every heartbeat. */
  #tellForeign(nodeName: string, { poolUuid, poolName, clusterUuid }: PoolInfo, ours: string): void {
    const key = `${nodeName} ${poolUuid}`;
    if (this.#foreign.has(key) || this.#foreign.size >= foreignMax) return;
    this.#foreign.add(key);
    this.#context.log.warn(
      { nodeName, poolName, poolUuid, clusterUuid, ours },
      "a pool of another cluster is left out: take it to its own cluster, or give the node an empty one",
    );
  }

  #tell(node: LiveNode, what: "online" | "offline" | "restarted" | "changed"): void {
    this.#writer.write(node);
    for (const listener of this.#listeners) listener({ node, what });
  }

  #blank(name: string): LiveNode {
    return {
      name,
      state: "Unheard",
      heartbeat: undefined,
      stored: undefined,
      lastHeardMs: this.#startedMs,
      offlineSinceMs: undefined,
      sinceIso: isoNow(this.#context.clock),
      previousInstance: undefined,
      rivalInstance: undefined,
      vanished: new Map(),
    };
  }
}

function parseHeartbeat(pathNodeName: string, raw: unknown): Heartbeat {
  const peer = z.looseObject({ protocolVersion: z.int(), version: z.string().max(64).optional() }).safeParse(raw);
  if (peer.success && peer.data.protocolVersion !== protocolVersion) {
    throw new AppError(
      "IncompatibleVersion",
      `agent ${pathNodeName} (version ${peer.data.version ?? "unknown"}) speaks protocol ${peer.data.protocolVersion}, this brain speaks ${protocolVersion}. Run the same version of couchestor on both`,
      { data: { field: "protocolVersion", got: peer.data.protocolVersion, allowed: protocolVersion } },
    );
  }
  const heartbeat = parseOrThrow(heartbeatSchema, raw, "heartbeat");
  if (heartbeat.nodeName !== pathNodeName) {
    throw new AppError("InvalidArgument", `nodeName: got "${heartbeat.nodeName}", the address says "${pathNodeName}"`);
  }
  return heartbeat;
}

function rivalError(node: LiveNode, heartbeat: Heartbeat): AppError {
  return new AppError(
    "Conflict",
    `node name ${node.name} is in use by another live agent at ${node.heartbeat?.clusterUrl}; give this agent (${heartbeat.clusterUrl}) a --node-name of its own`,
    { data: { field: "nodeName", got: node.name, instanceUuid: node.heartbeat?.instanceUuid } },
  );
}
