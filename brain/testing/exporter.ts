/**
 * Speaks as Mayastor's metrics exporter does: names, labels and types as there, which means that everything is a gauge, also what counts
 * up, and starts from 0 again when the io-engine or the volume's target does. Also writes the same series as history for promtool.
 */

export const volumeMetrics = [
  "volume_num_read_ops",
  "volume_num_write_ops",
  "volume_bytes_read",
  "volume_bytes_written",
  "volume_read_latency_us",
  "volume_write_latency_us",
] as const;
export type VolumeMetric = (typeof volumeMetrics)[number];

export interface ExportedVolume {
  pvName: string;
  node: string;
  values: Partial<Record<VolumeMetric, number | "NaN" | "+Inf" | "-Inf">>;
}

/** How it answers scrapes. */
export type ExporterMode = "metrics" | "html" | "error";

export class Exporter implements AsyncDisposable {
  mode: ExporterMode = "metrics";
  readonly #volumes = new Map<string, ExportedVolume>();
  #server: ReturnType<typeof Bun.serve> | undefined;
  #port = 0;

  constructor() {
    this.start();
  }

  /** `host:port`, for Prometheus. */
  get target(): string {
    return `127.0.0.1:${this.#port}`;
  }

  /** Listens, at the same port as before. */
  start(): void {
    this.#server ??= Bun.serve({ hostname: "127.0.0.1", port: this.#port, fetch: () => this.#answer() });
    this.#port = this.#server.port ?? 0;
  }

  /** It is down: connections are refused. */
  async stop(): Promise<void> {
    await this.#server?.stop(true);
    this.#server = undefined;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  /** Sets a volume's values; those not named stay. */
  set(pvName: string, values: ExportedVolume["values"], node = "node-1"): void {
    const key = `${pvName} ${node}`;
    this.#volumes.set(key, { pvName, node, values: { ...this.#volumes.get(key)?.values, ...values } });
  }

  /** Counts operations of a volume. */
  count(pvName: string, reads: number, writes: number, node = "node-1"): void {
    const { values = {} } = this.#volumes.get(`${pvName} ${node}`) ?? {};
    const plus = (before: unknown, more: number) => (typeof before === "number" ? before : 0) + more;
    this.set(
      pvName,
      {
        volume_num_read_ops: plus(values.volume_num_read_ops, reads),
        volume_num_write_ops: plus(values.volume_num_write_ops, writes),
      },
      node,
    );
  }

  /** The volume is unpublished, or its target has moved: its series end here. */
  remove(pvName: string, node = "node-1"): void {
    this.#volumes.delete(`${pvName} ${node}`);
  }

  text(): string {
    const lines: string[] = [];
    for (const metric of volumeMetrics) {
      const series = [...this.#volumes.values()].filter((volume) => volume.values[metric] !== undefined);
      if (series.length === 0) continue;
      lines.push(`# HELP ${metric} ${metric}`, `# TYPE ${metric} gauge`);
      for (const { pvName, node, values } of series) {
        lines.push(`${metric}{node="${node}",pv_name="${pvName}"} ${values[metric]}`);
      }
    }
    return `${lines.join("\n")}\n`;
  }

  #answer(): Response {
    if (this.mode === "error") return new Response("failed", { status: 500 });
    if (this.mode === "html") return new Response("<html>login</html>", { headers: { "content-type": "text/html" } });
    return new Response(this.text(), { headers: { "content-type": "text/plain; version=0.0.4" } });
  }
}

export interface HistoryOptions {
  pvName: string;
  node?: string;
  endMs: number;
  lengthMs: number;
  scrapeIntervalMs: number;
  /** Operations a second of reads and of writes at an age (ms before the end). */
  readsPerSecond: (ageMs: number) => number;
  writesPerSecond: (ageMs: number) => number;
  /** The counters restart from 0 at these ages. */
  resetAgesMs?: readonly number[];
  /** No samples at these ages. */
  gap?: (ageMs: number) => boolean;
  /** More labels, such as those of the scrape. */
  labels?: Readonly<Record<string, string>>;
}

/** OpenMetrics text of the reads and writes of volumes that were scraped in the past. */
export function historyText(volumes: readonly HistoryOptions[]): string {
  const blocks = (["volume_num_read_ops", "volume_num_write_ops"] as const).map((metric) => {
    const series = volumes.map((volume) => seriesText(metric, volume));
    return `# TYPE ${metric} gauge\n${series.join("")}`;
  });
  return `${blocks.join("")}# EOF\n`;
}

function seriesText(metric: string, options: HistoryOptions): string {
  const { pvName, node = "node-1", endMs, lengthMs, scrapeIntervalMs, resetAgesMs = [], gap, labels = {} } = options;
  const perSecond = metric === "volume_num_read_ops" ? options.readsPerSecond : options.writesPerSecond;
  const names = Object.entries({ node, pv_name: pvName, ...labels }).map(([name, value]) => `${name}="${value}"`);
  const head = `${metric}{${names.join(",")}}`;
  let value = 0;
  let text = "";
  for (let ageMs = lengthMs; ageMs >= 0; ageMs -= scrapeIntervalMs) {
    const beforeMs = ageMs + scrapeIntervalMs;
    value += (perSecond(ageMs) * scrapeIntervalMs) / 1000;
    if (resetAgesMs.some((at) => at >= ageMs && at < beforeMs)) value = 0;
    if (gap?.(ageMs)) continue;
    text += `${head} ${value} ${(endMs - ageMs) / 1000}\n`;
  }
  return text;
}
