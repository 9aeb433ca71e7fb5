/**
 * Bytes that acts are about to put, or have put since their pool's node last reported its fill. Placement counts them, so that many grants between two
 * heartbeats do not run a pool full.
 */
import type { ActRecord } from "./act-record.ts";

/** Longer than any pause between heartbeats. */
const keptMs = 120_000;
const endedMax = 10_000;

export class Reservations {
  readonly #active: ReadonlyMap<string, ActRecord>;
  #ended: { reserved: ReadonlyMap<string, number>; endedMs: number }[] = [];

  constructor(active: ReadonlyMap<string, ActRecord>) {
    this.#active = active;
  }

  /** The act has put all its chunks. */
  ended(record: ActRecord, nowMs: number): void {
    this.#ended.push({ reserved: record.reserved, endedMs: nowMs });
    if (this.#ended.length > endedMax || nowMs - (this.#ended[0]?.endedMs ?? nowMs) > 2 * keptMs) {
      this.#ended = this.#ended.filter((e) => nowMs - e.endedMs <= keptMs).slice(-endedMax);
    }
  }

  /** Pool → bytes not yet in its reported fill. `heardMs`: when the pool's node last reported. What an act under way has put counts in full. */
  bytes(heardMs: (poolUuid: string) => number): Map<string, number> {
    const sum = new Map<string, number>();
    const add = (pool: string, bytes: number): void => void sum.set(pool, (sum.get(pool) ?? 0) + bytes);
    for (const record of this.#active.values()) {
      for (const [pool, bytes] of record.reserved) add(pool, bytes);
    }
    for (const { reserved, endedMs } of this.#ended) {
      for (const [pool, bytes] of reserved) if (endedMs >= heardMs(pool)) add(pool, bytes);
    }
    return sum;
  }
}
