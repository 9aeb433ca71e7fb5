/** Progress of a wave of repairs: from an empty queue to the next empty one. */
import type { ActCounts } from "@couchestor/common/api/acts.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { ActRecord } from "../acts/act-record.ts";
import type { RepairCandidate } from "./repair-plan.ts";

export interface WaveProgress {
  stripesDone: number;
  stripesTotal: number;
  bytesMoved: number;
  bytesPerSecond: number;
  etaSeconds?: number;
}

export class RepairWave {
  readonly #clock: Clock;
  #open = false;
  #startedMs = 0;
  #endedMs = 0;
  #stripesDone = 0;
  #stripesLeft = 0;
  #bytesMoved = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** The queue as planned now. */
  note(queue: readonly RepairCandidate[], running: ReadonlySet<string>): void {
    const left = queue.reduce((sum, c) => sum + c.stripes, 0);
    if (!this.#open && left > 0) {
      this.#open = true;
      this.#startedMs = this.#clock.monotonicMs();
      this.#stripesDone = 0;
      this.#bytesMoved = 0;
    }
    this.#stripesLeft = left;
    if (this.#open && left === 0 && running.size === 0) {
      this.#open = false;
      this.#endedMs = this.#clock.monotonicMs();
    }
  }

  finished(stripes: number, counts: ActCounts | undefined): void {
    this.#stripesDone += stripes;
    this.#stripesLeft = Math.max(0, this.#stripesLeft - stripes);
    this.#bytesMoved += counts ? counts.bytesRead + counts.bytesWritten : 0;
  }

  progress(running: readonly ActRecord[]): WaveProgress {
    const underWay = running.filter((r) => r.state !== "ended");
    const stripesNow = underWay.reduce((sum, r) => sum + r.stripesDone, 0);
    const stripesDone = this.#stripesDone + stripesNow;
    const stripesTotal = this.#stripesDone + this.#stripesLeft;
    const bytesMoved = this.#bytesMoved + underWay.reduce((sum, r) => sum + r.bytesMoved, 0);
    const endMs = this.#open ? this.#clock.monotonicMs() : this.#endedMs;
    const seconds = Math.max(0, endMs - this.#startedMs) / 1000;
    const rate = seconds > 0 ? stripesDone / seconds : 0;
    return {
      stripesDone: Math.min(stripesDone, stripesTotal),
      stripesTotal,
      bytesMoved,
      bytesPerSecond: seconds > 0 ? bytesMoved / seconds : 0,
      ...(this.#open && rate > 0 ? { etaSeconds: Math.max(0, stripesTotal - stripesDone) / rate } : {}),
    };
  }
}
