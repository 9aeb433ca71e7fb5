/** A clock that jumps to the next timer whenever everybody waits: hours pass in milliseconds, and every run is the same. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";

interface Timer {
  dueMs: number;
  order: number;
  run: () => void;
}

export class VirtualClock implements Clock {
  #monotonicMs = 0;
  #wallMs: number;
  #order = 0;
  /** Soonest last. */
  readonly #timers: Timer[] = [];

  /** Starts at 2026-01-01T00:00:00Z unless told otherwise. */
  constructor(wallMs = 1_767_225_600_000) {
    this.#wallMs = wallMs;
  }

  wallMs(): number {
    return this.#wallMs;
  }

  monotonicMs(): number {
    return this.#monotonicMs;
  }

  /** The wall clock is set to another time. Monotonic time doesn't notice. */
  jumpWall(byMs: number): void {
    this.#wallMs += byMs;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.reject(signal.reason);
    return new Promise((resolve, reject) => {
      const onAbort = () => {
        cancel();
        reject(signal?.reason);
      };
      const cancel = this.after(ms, () => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      });
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  after(ms: number, run: () => void): () => void {
    const timer = { dueMs: this.#monotonicMs + Math.max(0, ms), order: this.#order++, run };
    let low = 0;
    let high = this.#timers.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#timers[middle]?.dueMs ?? 0) > timer.dueMs) low = middle + 1;
      else high = middle;
    }
    this.#timers.splice(low, 0, timer);
    return () => {
      const at = this.#timers.indexOf(timer);
      if (at !== -1) this.#timers.splice(at, 1);
    };
  }

  /** Lets time go on until the work has ended, or for `maxMs`; then it is false. */
  async run(work: Promise<unknown>, maxMs = Number.POSITIVE_INFINITY): Promise<boolean> {
    let ended = false;
    const end = () => {
      ended = true;
    };
    work.then(end, end);
    const untilMs = this.#monotonicMs + maxMs;
    await settle();
    while (!ended) {
      const timer = this.#timers.at(-1);
      if (timer === undefined || timer.dueMs > untilMs) {
        this.#moveTo(Math.min(untilMs, timer?.dueMs ?? untilMs));
        return false;
      }
      this.#timers.pop();
      this.#moveTo(timer.dueMs);
      timer.run();
      await settle();
    }
    return true;
  }

  /** Lets so much time go by. */
  async pass(ms: number): Promise<void> {
    await this.run(this.sleep(ms));
  }

  /** The result of work that needs time to go on. */
  async over<T>(work: Promise<T>): Promise<T> {
    if (!(await this.run(work))) throw new Error("the work waits for something that never happens");
    return await work;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

/** Lets everything that is ready run. */
async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
