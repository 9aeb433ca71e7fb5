/**
 * Sends deletions to agents: exact names, in batches, tried again with backoff while a pool is away. The queue is bounded and in memory; what it
 * loses (a restart, an overflow, a pool away for long) garbage collection finds later.
 */

import type { Inventory } from "../inventory/inventory.ts";
import type { AgentPort, BrainContext } from "../ports.ts";
import { type ChunkColumn, deleteRequests } from "./chunk-columns.ts";

const columnsMax = 100_000;
const backoffMsMin = 500;
const backoffMsMax = 60_000;

interface PoolQueue {
  columns: ChunkColumn[];
  failures: number;
  notBeforeMs: number;
  running: boolean;
}

export class ChunkOrders {
  readonly #context: BrainContext;
  readonly #inventory: Inventory;
  readonly #queues = new Map<string, PoolQueue>();
  #queued = 0;
  #forgotten = 0;
  #deleted = 0;
  readonly #active = new Set<Promise<void>>();

  constructor(context: BrainContext, inventory: Inventory) {
    this.#context = context;
    this.#inventory = inventory;
  }

  /** Columns that wait, chunks deleted, and columns left to garbage collection, since the start. */
  get counts(): { queued: number; deleted: number; forgotten: number } {
    return { queued: this.#queued, deleted: this.#deleted, forgotten: this.#forgotten };
  }

  enqueue(columns: readonly ChunkColumn[]): void {
    for (const column of columns) {
      if (this.#queued >= columnsMax) {
        this.#forgotten++;
        continue;
      }
      const queue = this.#queues.get(column.poolUuid) ?? { columns: [], failures: 0, notBeforeMs: 0, running: false };
      this.#queues.set(column.poolUuid, queue);
      queue.columns.push(column);
      this.#queued++;
    }
    this.tick();
  }

  /** Starts what is due. Call it often. */
  tick(): void {
    const now = this.#context.clock.monotonicMs();
    for (const [poolUuid, queue] of this.#queues) {
      if (queue.running || queue.notBeforeMs > now || !this.#reachable(poolUuid)) continue;
      queue.running = true;
      const work = this.#drain(poolUuid, queue).finally(() => {
        queue.running = false;
        if (queue.columns.length === 0) this.#queues.delete(poolUuid);
        this.#active.delete(work);
      });
      this.#active.add(work);
    }
  }

  /** Waits for the requests that are under way. */
  async settle(): Promise<void> {
    while (this.#active.size > 0) await Promise.allSettled([...this.#active]);
  }

  /** Deletes one column now. Throws when its pool is away or refuses. Returns how many chunks were there. */
  async deleteNow(column: ChunkColumn): Promise<number> {
    const host = this.#reachable(column.poolUuid);
    if (!host) throw new Error(`pool ${column.poolUuid} is away`);
    return deleteColumn(this.#context.agents, host, column);
  }

  async #drain(poolUuid: string, queue: PoolQueue): Promise<void> {
    for (;;) {
      const column = queue.columns[0];
      const url = this.#reachable(poolUuid);
      if (!column || !url) return;
      try {
        this.#deleted += await deleteColumn(this.#context.agents, url, column);
        queue.failures = 0;
        queue.columns.shift();
        this.#queued--;
      } catch (error) {
        const backoffMs = Math.min(backoffMsMax, backoffMsMin * 2 ** queue.failures++);
        queue.notBeforeMs = this.#context.clock.monotonicMs() + backoffMs;
        this.#context.log.warn({ poolUuid, backoffMs, error: String(error) }, "deletion not done; will try again");
        return;
      }
    }
  }

  #reachable(poolUuid: string): string | undefined {
    const host = this.#inventory.host(poolUuid);
    if (host?.node.state !== "Online" || host.node.vanished.has(poolUuid) || host.pool.state === "Failed")
      return undefined;
    return host.node.heartbeat?.clusterUrl;
  }
}

/** Sends one column's names. Returns how many were there. */
export async function deleteColumn(agents: AgentPort, url: string, column: ChunkColumn): Promise<number> {
  let deleted = 0;
  for (const request of deleteRequests(column)) {
    deleted += (await agents.deleteChunks(url, column.poolUuid, request)).deleted;
  }
  return deleted;
}
