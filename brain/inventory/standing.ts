/** What a pool can be used for, as repair and the views see it. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Inventory } from "./inventory.ts";

/**
 * `ok`: its chunks can be read. `away`: its node is silent, or no longer reports it, but not yet for long enough to be replaced. `lost`: its shards are
 * to be put elsewhere. `unknown`: not heard since this brain started; nothing is concluded from that.
 */
export type PoolStanding = "ok" | "away" | "lost" | "unknown";

export interface StandingReader {
  standing(poolUuid: string): PoolStanding;
  /** For a person: why the pool's shards are missing. */
  why(poolUuid: string): string;
}

/** Reads standings from the live inventory. An Offline node's pools are lost after `repairAfterMs`; a Failed pool at once. */
export class Standings implements StandingReader {
  readonly #inventory: Inventory;
  readonly #clock: Clock;
  readonly #repairAfterMs: number;
  readonly #graceMs: number;
  readonly #startedMs: number;

  constructor(inventory: Inventory, clock: Clock, options: { repairAfterMs: number; offlineAfterMs: number }) {
    this.#inventory = inventory;
    this.#clock = clock;
    this.#repairAfterMs = options.repairAfterMs;
    this.#graceMs = options.offlineAfterMs;
    this.#startedMs = clock.monotonicMs();
  }

  standing(poolUuid: string): PoolStanding {
    const host = this.#inventory.host(poolUuid);
    if (!host) return this.#since(this.#startedMs, this.#graceMs);
    const { node, pool } = host;
    if (node.state === "Unheard") return "unknown";
    if (node.state === "Offline") return this.#since(node.offlineSinceMs ?? this.#startedMs, 0);
    const vanished = node.vanished.get(poolUuid);
    if (vanished) return this.#since(vanished.sinceMs, 0);
    return pool.state === "Failed" ? "lost" : "ok";
  }

  why(poolUuid: string): string {
    const host = this.#inventory.host(poolUuid);
    if (!host) return "no node has reported this pool";
    if (host.node.state !== "Online")
      return `node ${host.node.name} is ${host.node.state === "Offline" ? "offline" : "not heard yet"}`;
    if (host.node.vanished.has(poolUuid)) return `node ${host.node.name} no longer reports the pool`;
    return host.pool.state === "Failed"
      ? `the pool failed${host.pool.reason ? `: ${host.pool.reason}` : ""}`
      : "online";
  }

  /** Offline nodes, and pools that their Online node no longer reports, with the seconds until their shards are put elsewhere. */
  waiting(): { nodeName: string; poolName?: string; repairInSeconds: number }[] {
    const now = this.#clock.monotonicMs();
    const left = (sinceMs: number) => Math.max(0, sinceMs + this.#repairAfterMs - now) / 1000;
    return [...this.#inventory.nodes()]
      .flatMap((node) => {
        const nodeName = node.name;
        if (node.state === "Offline")
          return [{ nodeName, repairInSeconds: left(node.offlineSinceMs ?? this.#startedMs) }];
        const vanished = [...node.vanished.values()];
        return vanished.map(({ pool: { poolName }, sinceMs }) => ({
          nodeName,
          poolName,
          repairInSeconds: left(sinceMs),
        }));
      })
      .filter((w) => w.repairInSeconds > 0);
  }

  #since(sinceMs: number, graceMs: number): PoolStanding {
    const elapsed = this.#clock.monotonicMs() - sinceMs;
    if (elapsed < graceMs) return "unknown";
    return elapsed >= this.#repairAfterMs ? "lost" : "away";
  }
}
