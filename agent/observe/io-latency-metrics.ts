/** The latency of devices for Prometheus: histograms that are counted elsewhere, since one of the library's own costs more than a fast disk's read. */
import { Histogram, type Registry } from "prom-client";
import { type IoLatency, ioKinds, latencyBucketsSeconds } from "../store/io-latency.ts";

export interface IoLatencySources {
  /** By the path that the device was opened by. */
  latencies(): ReadonlyMap<string, IoLatency>;
  /** The id of the device at a path, if it is known. */
  deviceAt(path: string): string | undefined;
}

const name = "couchestor_device_io_latency_seconds";
const help =
  "Time of reads, writes and syncs of devices that pools lie on, from when the kernel was given them until their end was seen.";
type Answer = Awaited<ReturnType<Histogram["get"]>>;

/** Adds the metric; it is taken from `sources` at each scrape. A kind of operation that was never done has no series. */
export function addIoLatencyMetrics(registers: Registry[], sources: IoLatencySources): void {
  new CountedElsewhere(registers, sources);
}

interface Sample {
  metricName: string;
  labels: Record<string, string | number>;
  value: number;
}

class CountedElsewhere extends Histogram {
  readonly #sources: IoLatencySources;

  constructor(registers: Registry[], sources: IoLatencySources) {
    super({
      name,
      help,
      labelNames: ["device", "path", "operation"],
      buckets: [...latencyBucketsSeconds],
      registers,
    });
    this.#sources = sources;
  }

  override async get(): ReturnType<Histogram["get"]> {
    const values = this.#samples();
    return { name, help, type: "histogram", values, aggregator: "sum" } as unknown as Answer;
  }

  /** What the registry prefers when it writes text. */
  getForPromString(): ReturnType<Histogram["get"]> {
    return this.get();
  }

  #samples(): Sample[] {
    const samples: Sample[] = [];
    for (const [path, latency] of this.#sources.latencies()) {
      const device = this.#sources.deviceAt(path) ?? path;
      for (const operation of ioKinds) {
        const { counts, count, sumSeconds } = latency.histogram(operation);
        if (count === 0) continue;
        const labels = { device, path, operation };
        let below = 0;
        for (const [i, le] of latencyBucketsSeconds.entries()) {
          below += counts[i] ?? 0;
          samples.push({ metricName: `${name}_bucket`, labels: { le, ...labels }, value: below });
        }
        samples.push({ metricName: `${name}_bucket`, labels: { le: "+Inf", ...labels }, value: count });
        samples.push({ metricName: `${name}_sum`, labels, value: sumSeconds });
        samples.push({ metricName: `${name}_count`, labels, value: count });
      }
    }
    return samples;
  }
}
