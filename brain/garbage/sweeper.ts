/** When pools are swept: soon after a pool or its node returned, after a volume was deleted while a pool was away, and every so often. One at a time. */
import type { Services } from "../volumes/services.ts";
import type { Tombstones } from "../volumes/tombstone.ts";
import { type SweepReport, sweepPool } from "./collector.ts";

export interface SweepOptions {
  /** Between two sweeps of a pool. */
  everyMs: number;
  /** After a pool was first seen or came back: its node's own recovery goes first. */
  delayMs: number;
}

export class Sweeper {
  readonly #services: Services;
  readonly #tombstones: Tombstones;
  readonly #options: SweepOptions;
  /** Pool → monotonic time of its next sweep. */
  readonly #due = new Map<string, number>();
  readonly #reports = new Map<string, SweepReport>();
  #running: Promise<void> | undefined;
  readonly #abort = new AbortController();

  constructor(services: Services, tombstones: Tombstones, options: SweepOptions) {
    this.#services = services;
    this.#tombstones = tombstones;
    this.#options = options;
    services.inventory.onChange(({ node }) => {
      if (node.state !== "Online") return;
      for (const pool of node.heartbeat?.pools ?? []) this.#soon(pool.poolUuid);
    });
  }

  /** What the last sweep of each pool found. */
  reports(): ReadonlyMap<string, SweepReport> {
    return this.#reports;
  }

  /** Sweeps every pool that is online now, and waits for it. */
  async sweepAll(): Promise<void> {
    for (const pool of this.#pools()) {
      await this.#running;
      await this.#sweep(pool);
    }
  }

  /** Starts the next sweep that is due. Call it often. */
  tick(): void {
    if (this.#running || this.#abort.signal.aborted || this.#services.cluster.uuid === undefined) return;
    const now = this.#services.context.clock.monotonicMs();
    const online = this.#pools();
    const waiting = new Set(this.#tombstones.pending().flatMap((stone) => stone.status?.pendingPools ?? []));
    for (const pool of online) {
      if (!this.#due.has(pool)) this.#due.set(pool, now + this.#options.delayMs);
      else if (waiting.has(pool)) this.#soon(pool);
    }
    const next = online
      .filter((pool) => (this.#due.get(pool) ?? 0) <= now)
      .sort((a, b) => (this.#due.get(a) ?? 0) - (this.#due.get(b) ?? 0))[0];
    if (next === undefined) return;
    this.#running = this.#sweep(next).finally(() => {
      this.#running = undefined;
    });
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #sweep(poolUuid: string): Promise<void> {
    const { clock, log } = this.#services.context;
    this.#due.set(poolUuid, clock.monotonicMs() + this.#options.everyMs);
    const stones = this.#tombstones.pending();
    try {
      const report = await sweepPool(this.#services, this.#tombstones, poolUuid, this.#abort.signal);
      this.#reports.set(poolUuid, report);
      await this.#tombstones.swept(poolUuid, stones);
      if (report.unproven > 0) {
        log.warn(
          { poolUuid, unproven: report.unproven },
          "chunks are kept though no map names them: what the maps name instead was not found intact, or was never written",
        );
      }
      if (report.deleted + report.foreign > 0) log.info({ poolUuid, ...report }, "pool swept");
    } catch (error) {
      if (!this.#abort.signal.aborted)
        log.warn({ poolUuid, error: String(error) }, "sweep not finished; will try again");
      this.#due.set(poolUuid, clock.monotonicMs() + Math.min(this.#options.everyMs, 60_000));
    }
  }

  #soon(poolUuid: string): void {
    const at = this.#services.context.clock.monotonicMs() + this.#options.delayMs;
    this.#due.set(poolUuid, Math.min(at, this.#due.get(poolUuid) ?? at));
  }

  #pools(): string[] {
    return this.#services.inventory
      .online()
      .flatMap((node) => node.heartbeat.pools)
      .filter((pool) => pool.state !== "Failed")
      .map((pool) => pool.poolUuid);
  }
}
