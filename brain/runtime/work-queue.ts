/**
 * Keys that wait to be worked on. A key is there once, however often it is added; while it is being worked on, another addition makes it
 * come again afterwards, so that two never work on one key and no change is missed. Failures come back with growing pauses.
 */

import { TokenBucket } from "@couchestor/common/resilience/token-bucket.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";

export interface QueueLimits {
  /** Keys in all, waiting and delayed. */
  keysMax: number;
  /** Pause after the first failure of a key; doubles up to `backoffMsMax`, each between half and the whole of it. */
  backoffMs: number;
  backoffMsMax: number;
  /** Keys handed out, over time and at once. */
  ratePerSecond: number;
  burst: number;
}

export const queueLimits: QueueLimits = {
  keysMax: 250_000,
  backoffMs: 20,
  backoffMsMax: 300_000,
  ratePerSecond: 1_000,
  burst: 5_000,
};

export interface QueueStats {
  waiting: number;
  delayed: number;
  processing: number;
  /** Additions since the start, those of a key that was there already included. */
  added: number;
  retried: number;
  /** Additions refused because the queue was full. */
  refused: number;
}

export class WorkQueue {
  readonly #clock: Clock;
  readonly #prng: Prng;
  readonly #limits: QueueLimits;
  readonly #bucket: TokenBucket;
  readonly #waiting = new Set<string>();
  readonly #processing = new Set<string>();
  /** Added while being worked on: they wait again when that is done. */
  readonly #again = new Set<string>();
  readonly #delayed = new Map<string, { dueMs: number; cancel: () => void }>();
  readonly #failures = new Map<string, number>();
  readonly #takers: ((key: string | undefined) => void)[] = [];
  #closed = false;
  #added = 0;
  #retried = 0;
  #refused = 0;

  constructor(deps: { clock: Clock; prng: Prng }, limits: Partial<QueueLimits> = {}) {
    this.#clock = deps.clock;
    this.#prng = deps.prng;
    this.#limits = { ...queueLimits, ...limits };
    this.#bucket = new TokenBucket(deps.clock, {
      ratePerSecond: this.#limits.ratePerSecond,
      burst: this.#limits.burst,
    });
  }

  get stats(): QueueStats {
    return {
      waiting: this.#waiting.size,
      delayed: this.#delayed.size,
      processing: this.#processing.size,
      added: this.#added,
      retried: this.#retried,
      refused: this.#refused,
    };
  }

  /** Puts a key in line, now. False if the queue is full or closed: the caller comes back with all its keys later. */
  add(key: string): boolean {
    if (!this.#admit(key)) return false;
    this.#added += 1;
    this.#undelay(key);
    if (this.#processing.has(key)) this.#again.add(key);
    else this.#hand(key);
    return true;
  }

  /** Puts a key in line in `ms`, or when it is due already, if that is sooner. */
  addAfter(key: string, ms: number): boolean {
    if (ms <= 0) return this.add(key);
    if (!this.#admit(key)) return false;
    this.#added += 1;
    const dueMs = this.#clock.monotonicMs() + ms;
    const before = this.#delayed.get(key);
    if (before !== undefined && before.dueMs <= dueMs) return true;
    if (this.#waiting.has(key) || this.#again.has(key)) return true;
    before?.cancel();
    const cancel = this.#clock.after(ms, () => {
      this.#delayed.delete(key);
      if (!this.#closed) this.add(key);
    });
    this.#delayed.set(key, { dueMs, cancel });
    return true;
  }

  /** Puts a key in line after its pause, which grows until `forget`. Returns the pause in ms. */
  retry(key: string): number {
    const failures = this.#failures.get(key) ?? 0;
    this.#failures.set(key, failures + 1);
    this.#retried += 1;
    const grownMs = Math.min(this.#limits.backoffMsMax, this.#limits.backoffMs * 2 ** Math.min(failures, 40));
    const pauseMs = grownMs * (0.5 + this.#prng.float() / 2);
    this.addAfter(key, pauseMs);
    return pauseMs;
  }

  /** The next failure of this key is its first. */
  forget(key: string): void {
    this.#failures.delete(key);
  }

  /** How often this key has failed in a row. */
  failuresOf(key: string): number {
    return this.#failures.get(key) ?? 0;
  }

  /** Waits for a key, within the rate. Undefined when the queue is closed. Call `done` with it afterwards, whatever happened. */
  async next(): Promise<string | undefined> {
    const key = await this.#take();
    if (key !== undefined) await this.#bucket.take(1);
    return key;
  }

  /** Work on a key has ended. */
  done(key: string): void {
    this.#processing.delete(key);
    if (this.#again.delete(key) && !this.#closed) this.#hand(key);
  }

  /** Hands out nothing more; who waits gets undefined. */
  close(): void {
    this.#closed = true;
    for (const { cancel } of this.#delayed.values()) cancel();
    this.#delayed.clear();
    this.#waiting.clear();
    this.#again.clear();
    for (const taker of this.#takers.splice(0)) taker(undefined);
  }

  #take(): Promise<string | undefined> {
    if (this.#closed) return Promise.resolve(undefined);
    const [key] = this.#waiting;
    if (key === undefined) return new Promise((resolve) => this.#takers.push(resolve));
    this.#waiting.delete(key);
    this.#processing.add(key);
    return Promise.resolve(key);
  }

  #hand(key: string): void {
    const taker = this.#takers.shift();
    if (taker === undefined) {
      this.#waiting.add(key);
      return;
    }
    this.#processing.add(key);
    taker(key);
  }

  #admit(key: string): boolean {
    if (this.#closed) return false;
    const known = this.#waiting.has(key) || this.#delayed.has(key) || this.#processing.has(key);
    if (known || this.#waiting.size + this.#delayed.size < this.#limits.keysMax) return true;
    this.#refused += 1;
    return false;
  }

  #undelay(key: string): void {
    this.#delayed.get(key)?.cancel();
    this.#delayed.delete(key);
  }
}
