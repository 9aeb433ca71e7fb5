/** The timers of clocks that stand still by themselves. They run in the order they are due, and those due together in the order they were set. */
import type { Clock } from "../runtime/clock.ts";

interface Timer {
  dueMs: number;
  run: () => void;
}

export abstract class TimerClock implements Clock {
  #monotonicMs = 0;
  #wallMs: number;
  /** Soonest last; of those due together, the first that was set last. */
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

  /** The wall clock is set to another time, as an administrator or NTP does. Monotonic time doesn't notice. */
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
    const timer = { dueMs: this.#monotonicMs + Math.max(0, ms), run };
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

  /** How many timers and sleepers wait. */
  get pending(): number {
    return this.#timers.length;
  }

  /** Moves both times to the next timer that is due by then, runs it, and lets what it wakes run; or to `untilMs`. False if none was due. */
  protected async step(untilMs: number): Promise<boolean> {
    const next = this.#timers.at(-1);
    if (next === undefined || next.dueMs > untilMs) {
      if (Number.isFinite(untilMs)) this.#moveTo(untilMs);
      return false;
    }
    this.#timers.pop();
    this.#moveTo(next.dueMs);
    next.run();
    await settle();
    return true;
  }

  #moveTo(monotonicMs: number): void {
    this.#wallMs += monotonicMs - this.#monotonicMs;
    this.#monotonicMs = monotonicMs;
  }
}

/** Lets everything that is ready run: promise jobs, and one turn of the event loop for what came through it. */
export async function settle(): Promise<void> {
  await new Promise<void>((resolve) => setImmediate(resolve));
}
