/** How long a device takes for its reads, writes and syncs: counts in fixed classes, cheap enough for every operation. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";

export type IoKind = "read" | "write" | "sync";
export const ioKinds = ["read", "write", "sync"] as const satisfies readonly IoKind[];

/** Upper ends of the classes, in seconds; what takes longer than the last is counted in `count` alone. */
export const latencyBucketsSeconds: readonly number[] = [
  0.00005, 0.0001, 0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30,
];
const bucketsMs = latencyBucketsSeconds.map((seconds) => seconds * 1000);

export interface LatencyHistogram {
  /** Of each class, those in it alone; as many as `latencyBucketsSeconds`. */
  counts: readonly number[];
  count: number;
  sumSeconds: number;
}

/** The histograms of one device. */
export class IoLatency {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #counts: Readonly<Record<IoKind, Float64Array>>;
  readonly #sumsMs: Record<IoKind, number> = { read: 0, write: 0, sync: 0 };

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
    const fresh = (): Float64Array => new Float64Array(bucketsMs.length + 1);
    this.#counts = { read: fresh(), write: fresh(), sync: fresh() };
  }

  nowMs(): number {
    return this.#clock.monotonicMs();
  }

  observe(kind: IoKind, milliseconds: number): void {
    const counts = this.#counts[kind];
    let bucket = 0;
    while (bucket < bucketsMs.length && milliseconds > (bucketsMs[bucket] ?? 0)) bucket++;
    counts[bucket] = (counts[bucket] ?? 0) + 1;
    this.#sumsMs[kind] += milliseconds;
  }

  count(kind: IoKind): number {
    return this.#counts[kind].reduce((sum, count) => sum + count, 0);
  }

  histogram(kind: IoKind): LatencyHistogram {
    const counts = [...this.#counts[kind].subarray(0, bucketsMs.length)];
    return { counts, count: this.count(kind), sumSeconds: this.#sumsMs[kind] / 1000 };
  }
}

/** The histograms of all devices that pools have open, or had: they go on counting when a device is opened again. */
export class DeviceLatencies {
  readonly #clock: Pick<Clock, "monotonicMs">;
  readonly #byPath = new Map<string, IoLatency>();

  constructor(clock: Pick<Clock, "monotonicMs">) {
    this.#clock = clock;
  }

  /** Those of the device at a path. */
  of(path: string): IoLatency {
    const known = this.#byPath.get(path) ?? new IoLatency(this.#clock);
    this.#byPath.set(path, known);
    return known;
  }

  all(): ReadonlyMap<string, IoLatency> {
    return this.#byPath;
  }
}
