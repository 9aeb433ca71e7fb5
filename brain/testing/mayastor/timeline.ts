/** What is to happen in the simulator, in order of time. Nothing runs by itself: whoever looks at the simulator brings it up to date first. */
export class Timeline {
  nowMs: number;
  #order = 0;
  #events: { dueMs: number; order: number; run: () => void }[] = [];

  constructor(nowMs: number) {
    this.nowMs = nowMs;
  }

  /** When something happens next; never, if nothing is to. */
  get nextMs(): number {
    return this.#events[0]?.dueMs ?? Number.POSITIVE_INFINITY;
  }

  /** Runs `run` in `ms`; what is due together runs in the order it was asked for. The returned function takes it back. */
  after(ms: number, run: () => void): () => void {
    const event = { dueMs: this.nowMs + Math.max(0, ms), order: this.#order++, run };
    let low = 0;
    let high = this.#events.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#events[middle]?.dueMs ?? 0) <= event.dueMs) low = middle + 1;
      else high = middle;
    }
    this.#events.splice(low, 0, event);
    return () => {
      const at = this.#events.indexOf(event);
      if (at !== -1) this.#events.splice(at, 1);
    };
  }

  /** Runs all that is due until then. */
  advance(toMs: number): void {
    for (;;) {
      const next = this.#events[0];
      if (next === undefined || next.dueMs > toMs) break;
      this.#events.shift();
      this.nowMs = next.dueMs;
      next.run();
    }
    this.nowMs = Math.max(this.nowMs, toMs);
  }
}
