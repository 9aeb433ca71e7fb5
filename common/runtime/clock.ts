/**
 * Time as a port. Nothing outside this folder reads the wall clock or sets a timer, so that a seeded simulator can replace time.
 */

export interface Clock {
  /** Wall-clock time in milliseconds since the Unix epoch. May jump back: use it for timestamps only, never for intervals. */
  wallMs(): number;
  /** Milliseconds from an arbitrary start that never goes back. Use it for every interval, timeout and rate. */
  monotonicMs(): number;
  /** Resolves after `ms`; rejects with `signal.reason` when the signal aborts first. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Calls `run` once after `ms`. The returned function cancels it. Does not keep the process alive. */
  after(ms: number, run: () => void): () => void;
}

/** The machine's own clock. */
export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  sleep(ms, signal) {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) return reject(signal.reason);
      const onAbort = () => {
        clearTimeout(timer);
        reject(signal?.reason);
      };
      const timer = setTimeout(() => {
        signal?.removeEventListener("abort", onAbort);
        resolve();
      }, ms);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  },
  after(ms, run) {
    const timer = setTimeout(run, ms);
    timer.unref?.();
    return () => clearTimeout(timer);
  },
};

/** An ISO-8601 timestamp of the clock's wall time, as Kubernetes writes them (`2026-01-02T03:04:05.678Z`). */
export function isoNow(clock: Clock): string {
  return new Date(clock.wallMs()).toISOString();
}
