/** The pools of this agent: opened at the start, tried again when they fail, bound to one cluster. One that can't be opened is reported, and keeps nothing else from running. */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Log, OpenPools } from "../ports.ts";
import type { PoolChunkStore } from "../store/pool-chunk-store.ts";
import type { ChunkStore } from "../store/ports.ts";
import type { PoolIdentities } from "./identities.ts";
import type { PoolOpener } from "./open-pool.ts";
import type { PoolSpec } from "./pool-spec.ts";

export interface PoolRegistryOptions {
  nodeName: string;
  specs: readonly PoolSpec[];
  open: PoolOpener;
  identities: PoolIdentities;
  clock: Clock;
  log: Log;
  /** Pause before a pool that failed is opened again. */
  retryMs?: number;
}

interface Entry {
  spec: PoolSpec;
  store: PoolChunkStore | undefined;
  /** Why it isn't open. */
  reason: string | undefined;
  /** The last state that was logged. */
  logged: string;
  triedMs: number;
  /** It is being opened: never twice at a time, since the one that fails would hide the one that succeeds. */
  opening: Promise<void> | undefined;
}

export class PoolRegistry implements OpenPools {
  readonly #options: PoolRegistryOptions;
  readonly #entries: Entry[];
  #clusterUuid: string | undefined;
  #closed = false;

  constructor(options: PoolRegistryOptions) {
    this.#options = options;
    const entry = (spec: PoolSpec): Entry => ({
      spec,
      store: undefined,
      reason: "not opened yet",
      logged: "",
      triedMs: 0,
      opening: undefined,
    });
    this.#entries = options.specs.map(entry);
  }

  /** Opens all. Never throws for a pool that fails. */
  async start(): Promise<void> {
    await Promise.all(this.#entries.map((entry) => this.#once(entry, () => this.#open(entry))));
  }

  get(poolUuid: string): ChunkStore {
    const entry = this.#find(poolUuid);
    if (entry === undefined) {
      throw new AppError("NotFound", `pool ${poolUuid} is none of node ${this.#options.nodeName}`, {
        data: { poolUuid },
      });
    }
    const { store, spec } = entry;
    const foreign = store === undefined ? undefined : this.#foreign(store);
    if (foreign !== undefined)
      throw new AppError("WrongCluster", `pool ${spec.poolName}: ${foreign}`, { data: { poolUuid } });
    const failed = store === undefined || store.info().state === "Failed";
    if (!failed) return store;
    const reason = entry.reason ?? store?.info().reason ?? "it failed";
    throw new AppError("Unavailable", `pool ${spec.poolName} is Failed: ${reason}`, {
      data: { poolUuid, pool: spec.poolName },
    });
  }

  has(poolUuid: string): boolean {
    return this.#find(poolUuid) !== undefined;
  }

  infos(): PoolInfo[] {
    return this.#entries.map((entry) => this.#infoOf(entry));
  }

  /** Open pools with what they tell beyond the port, for metrics. */
  stores(): PoolChunkStore[] {
    return this.#entries.flatMap(({ store }) => store ?? []);
  }

  /** Binds fresh pools to the brain's cluster. Pools of another one are refused from now on. */
  async adopt(clusterUuid: string): Promise<void> {
    this.#clusterUuid = clusterUuid;
    for (const entry of this.#entries) {
      const { store } = entry;
      if (store === undefined || store.info().clusterUuid !== zeroUuid) continue;
      await store.adopt(clusterUuid).catch((error) => {
        this.#options.log.warn({ pool: entry.spec.poolName, err: error }, "a pool could not be bound to the cluster");
      });
    }
    this.#logStates();
  }

  /**
   * Opens again what failed, and resolves when that has come to an end. Call it every second or so, without waiting for it: a pool whose disk does not
   * answer is being opened for as long as that takes, and keeps no other from being opened. Never throws.
   */
  async maintain(): Promise<void> {
    const { clock, retryMs = 5_000 } = this.#options;
    if (this.#closed) return;
    const due = this.#entries.filter(({ store, triedMs, opening }) => {
      const state = store?.info().state ?? "Failed";
      // A pool that stopped writing takes no more until it is opened anew: what the medium holds must be read again first.
      const isDown = state === "Failed" || state === "ReadOnly";
      return isDown && opening === undefined && clock.monotonicMs() - triedMs >= retryMs;
    });
    this.#logStates();
    await Promise.all(due.map((entry) => this.#once(entry, () => this.#reopen(entry))));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await Promise.all(this.#entries.map(({ opening }) => opening));
    await Promise.all(this.#entries.map(({ store }) => store?.close()));
  }

  #once(entry: Entry, run: () => Promise<void>): Promise<void> {
    entry.opening ??= run().finally(() => {
      entry.opening = undefined;
    });
    return entry.opening;
  }

  async #reopen(entry: Entry): Promise<void> {
    const old = entry.store;
    if (old !== undefined) {
      entry.reason = old.info().reason;
      entry.store = undefined;
      await old
        .close()
        .catch((error) => this.#options.log.warn({ pool: entry.spec.poolName, err: error }, "closing a failed pool"));
    }
    await this.#open(entry);
  }

  async #open(entry: Entry): Promise<void> {
    const { open, identities, clock } = this.#options;
    const { spec } = entry;
    entry.triedMs = clock.monotonicMs();
    let store: PoolChunkStore | undefined;
    try {
      const known = identities.get(spec.poolName);
      store = await open(spec, known === undefined);
      const { poolUuid } = store;
      if (known !== undefined && known.poolUuid !== poolUuid) {
        throw new AppError(
          "FailedPrecondition",
          `${spec.path} holds pool ${poolUuid}, but ${spec.poolName} is pool ${known.poolUuid}: are disks swapped? To use it, give it another name`,
        );
      }
      const twin = this.#entries.find((other) => other !== entry && other.store?.poolUuid === poolUuid);
      if (twin !== undefined) {
        throw new AppError(
          "FailedPrecondition",
          `${spec.path} holds the same pool, ${poolUuid}, as ${twin.spec.path}: one is a copy`,
        );
      }
      await identities.remember(spec.poolName, { path: spec.path, poolUuid });
      if (this.#closed) throw new AppError("Cancelled", "this agent is shutting down");
      entry.store = store;
      entry.reason = undefined;
      if (this.#clusterUuid !== undefined && store.info().clusterUuid === zeroUuid)
        await store.adopt(this.#clusterUuid);
    } catch (error) {
      entry.store = undefined;
      entry.reason = toAppError(error).code === "Internal" ? String(error) : toAppError(error).message;
      await store?.close().catch(() => undefined);
    }
    this.#logStates([entry]);
  }

  #find(poolUuid: string): Entry | undefined {
    return this.#entries.find((entry) => this.#uuidOf(entry) === poolUuid);
  }

  /** Of a pool that has never been open nothing is known: its name on this node stands for it. */
  #uuidOf(entry: Entry): string {
    const known = entry.store?.poolUuid ?? this.#options.identities.get(entry.spec.poolName)?.poolUuid;
    if (known !== undefined) return known;
    const hex = new Bun.CryptoHasher("sha256").update(`${this.#options.nodeName}/${entry.spec.poolName}`).digest("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
  }

  #foreign(store: PoolChunkStore): string | undefined {
    const { clusterUuid } = store.info();
    if (this.#clusterUuid === undefined || clusterUuid === zeroUuid || clusterUuid === this.#clusterUuid)
      return undefined;
    return `it belongs to cluster ${clusterUuid}, but the brain keeps cluster ${this.#clusterUuid}; give the pool to an agent of its own cluster`;
  }

  #infoOf(entry: Entry): PoolInfo {
    const { store, spec, reason } = entry;
    if (store !== undefined) {
      const info = store.info();
      const foreign = this.#foreign(store);
      return foreign === undefined ? info : { ...info, state: "Failed", reason: foreign, freeBytes: 0 };
    }
    const nothing = { capacityBytes: 0, usedBytes: 0, freeBytes: 0, liveBytes: 0, chunkCount: 0 };
    const { poolName, labels } = spec;
    const identity = { poolUuid: this.#uuidOf(entry), poolName, kind: "directory" as const, labels };
    return { ...identity, state: "Failed", reason: reason ?? "not open", clusterUuid: zeroUuid, ...nothing };
  }

  #logStates(entries: readonly Entry[] = this.#entries): void {
    for (const entry of entries) {
      const { state, reason, poolUuid } = this.#infoOf(entry);
      const now = `${state} ${reason ?? ""}`;
      if (now === entry.logged) continue;
      entry.logged = now;
      const fields = { pool: entry.spec.poolName, poolUuid, path: entry.spec.path, state, reason };
      if (state === "Online") this.#options.log.info(fields, "pool is Online");
      else this.#options.log.warn(fields, `pool is ${state}`);
    }
  }
}
