/** Agents in memory for the brain's tests: they keep chunk names, run acts when told to, and fail on demand (unreachable, answer lost, killed halfway). */
import { type ActDone, type ActTask, actKey, type ScrubTask } from "@couchestor/common/api/acts.ts";
import type { ChunkInfo, ChunkName, VerifyAnswer } from "@couchestor/common/api/chunks.ts";
import type { DeviceHealth, DeviceInfo } from "@couchestor/common/api/devices.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import type { Heartbeat, PoolInfo } from "@couchestor/common/api/nodes.ts";
import { protocolVersion, zeroUuid } from "@couchestor/common/api/primitives.ts";
import { dataShards } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { AgentPort } from "../ports.ts";
import { encodePuts, nameOf, rebuildPuts } from "./fake-chunks.ts";

export interface FakePool {
  poolUuid: string;
  poolName: string;
  state: PoolInfo["state"];
  chunks: Map<string, ChunkInfo>;
  corrupt: Set<string>;
  /** What its node reports of the device under it; undefined: it reports none. */
  health?: DeviceHealth;
}

export interface FakeNode {
  name: string;
  instanceUuid: string;
  alive: boolean;
  pools: Map<string, FakePool>;
  acts: Map<string, ActTask>;
}

/** What happens to a call: not delivered, or delivered with its answer lost. */
export type Fault = "unreachable" | "answer-lost" | undefined;
export type Call = keyof AgentPort;

export class FakeFleet implements AgentPort {
  readonly nodes = new Map<string, FakeNode>();
  readonly prng: Prng = seededPrng(7);
  clusterUuid = zeroUuid;
  fault: (call: Call, nodeName: string) => Fault = () => undefined;
  readonly deletedNames: string[] = [];
  /** Pools that heartbeat as if all were well but take no chunk. */
  readonly refusing = new Set<string>();
  capacityBytes = 2 ** 40;

  constructor(nodes: number, poolsPerNode = 2) {
    for (let i = 1; i <= nodes; i++) this.addNode(`n${i}`, poolsPerNode);
  }

  addNode(name: string, poolsPerNode: number): FakeNode {
    const pools = new Map<string, FakePool>();
    for (let p = 1; p <= poolsPerNode; p++) {
      const poolUuid = this.prng.uuid();
      pools.set(poolUuid, { poolUuid, poolName: `p${p}`, state: "Online", chunks: new Map(), corrupt: new Set() });
    }
    const node = { name, instanceUuid: this.prng.uuid(), alive: true, pools, acts: new Map() };
    this.nodes.set(name, node);
    return node;
  }

  heartbeatOf(node: FakeNode): Heartbeat {
    const pools = [...node.pools.values()].map((pool) => ({
      poolUuid: pool.poolUuid,
      poolName: pool.poolName,
      kind: "directory" as const,
      labels: {},
      state: pool.state,
      clusterUuid: this.clusterUuid,
      capacityBytes: this.capacityBytes,
      usedBytes: 0,
      freeBytes: this.capacityBytes,
      liveBytes: 0,
      chunkCount: pool.chunks.size,
    }));
    const devices = [...node.pools.values()].flatMap((pool) =>
      pool.health === undefined ? [] : [this.#device(node, pool, pool.health)],
    );
    const acts = [...node.acts.values()].map((t) => ({ act: t.act, stripesDone: 0, stripesTotal: 1, bytesMoved: 0 }));
    const url = `http://${node.name}.test`;
    return {
      protocolVersion,
      version: "test",
      nodeName: node.name,
      instanceUuid: node.instanceUuid,
      clusterUrl: url,
      adminUrl: `${url}:1`,
      labels: {},
      codec: "none",
      pools,
      acts,
      ...(devices.length === 0 ? {} : { devices }),
    };
  }

  #device(node: FakeNode, { poolUuid, poolName }: FakePool, health: DeviceHealth): DeviceInfo {
    return {
      id: `${node.name}-${poolName}`,
      idStable: true,
      path: `/dev/${poolName}`,
      model: "M1",
      firmware: "F1",
      transport: "pcie",
      zoned: "none",
      capacityBytes: this.capacityBytes,
      logicalBlockBytes: 512,
      physicalBlockBytes: 4096,
      tier: "hot",
      tierReason: "NVMe",
      inUse: [],
      label: { poolUuid, poolName, clusterUuid: this.clusterUuid, nodeName: node.name, kind: "block" },
      health,
    };
  }

  kill(name: string): void {
    const node = this.node(name);
    node.alive = false;
    node.acts.clear();
  }

  restart(name: string): void {
    const node = this.node(name);
    node.acts.clear();
    node.alive = true;
    node.instanceUuid = this.prng.uuid();
  }

  node(name: string): FakeNode {
    const node = this.nodes.get(name);
    if (!node) throw new Error(`no node ${name}`);
    return node;
  }

  pool(poolUuid: string): { node: FakeNode; pool: FakePool } {
    for (const node of this.nodes.values()) {
      const pool = node.pools.get(poolUuid);
      if (pool) return { node, pool };
    }
    throw new Error(`no pool ${poolUuid}`);
  }

  /** Every act that some live mover holds. */
  acts(): { node: FakeNode; task: ActTask }[] {
    return [...this.nodes.values()].flatMap((node) => [...node.acts.values()].map((task) => ({ node, task })));
  }

  chunkCount(): number {
    return [...this.nodes.values()].reduce(
      (sum, n) => sum + [...n.pools.values()].reduce((s, p) => s + p.chunks.size, 0),
      0,
    );
  }

  /** Does an act's work and returns the mover's report. `chunksMax`: dies after so many puts, reporting nothing. */
  perform(node: FakeNode, task: ActTask, chunksMax = Number.POSITIVE_INFINITY): ActDone | undefined {
    const puts = task.kind === "scrub" ? [] : task.kind === "encode" ? encodePuts(task) : rebuildPuts(task);
    let done = 0;
    let failed = false;
    let refusedBy: string | undefined;
    for (const { target, info } of puts) {
      if (done >= chunksMax) return undefined;
      const at = this.pool(target.poolUuid);
      if (this.refusing.has(target.poolUuid)) refusedBy ??= target.poolUuid;
      else if (!at.node.alive) failed = true;
      else at.pool.chunks.set(nameOf(info), info);
      done++;
    }
    const stripes =
      task.kind === "encode"
        ? task.stripeCount
        : task.kind === "scrub" || !task.only
          ? task.run.stripeCount
          : new Set(task.only.map((o) => o.stripe)).size;
    return {
      act: task.act,
      nodeName: node.name,
      instanceUuid: node.instanceUuid,
      kind: task.kind,
      outcome: failed || refusedBy ? "failed" : "done",
      ...(refusedBy ? { error: { code: "ReadOnly", message: "refused", data: { poolUuid: refusedBy } } } : {}),
      counts: { stripes, chunksRead: 0, chunksPut: done, bytesRead: 0, bytesWritten: done * 4096 },
      ...(task.kind === "encode" ? { contentSha256: "ab".repeat(32) } : {}),
      ...(task.kind === "scrub" ? { findings: this.#scrub(task) } : {}),
      codec: "none",
    };
  }

  /** Whether every stripe of these locations can be decoded from what is stored, by exact names. */
  readable(run: ScrubTask["run"], volumeUuid: string): boolean {
    for (let stripe = run.firstStripe; stripe < run.firstStripe + run.stripeCount; stripe++) {
      const there = run.shardLocations.filter((l) => this.#stateOf(run, volumeUuid, stripe, l) === "ok").length;
      if (there < dataShards(run.code)) return false;
    }
    return true;
  }

  async startAct(url: string, task: ActTask): Promise<void> {
    await this.#deliver("startAct", url, (node) => void node.acts.set(actKey(task.act), task));
  }

  async cancelAct(url: string, key: string): Promise<void> {
    await this.#deliver("cancelAct", url, (node) => void node.acts.delete(key));
  }

  async deleteChunks(url: string, poolUuid: string, request: Parameters<AgentPort["deleteChunks"]>[2]) {
    return this.#deliver("deleteChunks", url, (node) => {
      const pool = node.pools.get(poolUuid);
      if (!pool) throw new AppError("NotFound", "no such pool");
      const deleted = request.names.filter((name) => {
        this.deletedNames.push(nameOf(name));
        pool.corrupt.delete(nameOf(name));
        return pool.chunks.delete(nameOf(name));
      }).length;
      return { deleted, absent: request.names.length - deleted };
    });
  }

  async verifyChunks(url: string, poolUuid: string, names: Parameters<AgentPort["verifyChunks"]>[2]) {
    return this.#deliver("verifyChunks", url, (node) => {
      const pool = node.pools.get(poolUuid);
      if (!pool) throw new AppError("NotFound", "no such pool");
      return { results: names.map((name) => verified(pool, name)) };
    });
  }

  async listChunks(url: string, poolUuid: string, page: Parameters<AgentPort["listChunks"]>[2]) {
    return this.#deliver("listChunks", url, (node) => {
      const pool = node.pools.get(poolUuid);
      if (!pool) throw new AppError("NotFound", "no such pool");
      const names = [...pool.chunks.keys()].sort().filter((n) => page.after === undefined || n > page.after);
      const chunks = names.slice(0, page.limit).map((n) => {
        const info = pool.chunks.get(n) as ChunkInfo;
        return {
          info: { ...info, poolUuid },
          ...(page.verify ? { state: pool.corrupt.has(n) ? ("corrupt" as const) : ("ok" as const) } : {}),
        };
      });
      const next = names.length > page.limit ? names[page.limit - 1] : undefined;
      return { chunks, ...(next === undefined ? {} : { next }) };
    });
  }

  async #deliver<T>(call: Call, url: string, run: (node: FakeNode) => T): Promise<T> {
    const node = this.node(new URL(url).hostname.replace(/\.test$/, ""));
    const fault = node.alive ? this.fault(call, node.name) : "unreachable";
    if (fault === "unreachable") throw new AppError("Unavailable", `${node.name} can't be reached`);
    const answer = run(node);
    if (fault === "answer-lost") throw new AppError("Timeout", `${node.name} did not answer`);
    return answer;
  }

  #scrub(task: ScrubTask): NonNullable<ActDone["findings"]> {
    const { run } = task;
    const findings: NonNullable<ActDone["findings"]> = [];
    for (let stripe = run.firstStripe; stripe < run.firstStripe + run.stripeCount; stripe++) {
      for (const l of run.shardLocations) {
        const state = this.#stateOf(run, task.act.volumeUuid, stripe, l);
        if (state !== "ok")
          findings.push({ stripe, shardIndex: l.shardIndex, poolUuid: l.poolUuid, nodeName: l.nodeName, state });
      }
    }
    return findings.slice(0, 4096);
  }

  #stateOf(
    run: ScrubTask["run"],
    volumeUuid: string,
    stripe: number,
    l: ShardLocation,
  ): "ok" | "absent" | "corrupt" | "unreachable" {
    const copy = run.exceptions.find((e) => e.stripe === stripe && e.shardIndex === l.shardIndex) ?? l;
    const at = this.pool(copy.poolUuid);
    if (!at.node.alive) return "unreachable";
    const { generation, encodeEpoch, encodeAct } = run;
    const name = nameOf({
      volumeUuid,
      stripe,
      shardIndex: l.shardIndex,
      generation,
      encodeEpoch,
      encodeAct,
      putEpoch: copy.putEpoch,
      putAct: copy.putAct,
    });
    if (!at.pool.chunks.has(name)) return "absent";
    return at.pool.corrupt.has(name) ? "corrupt" : "ok";
  }
}

function verified(pool: FakePool, name: ChunkName): VerifyAnswer["results"][number] {
  const info = pool.chunks.get(nameOf(name));
  if (!info) return { state: "absent" };
  return { state: pool.corrupt.has(nameOf(name)) ? "corrupt" : "ok", info };
}
