/** Every metric of the agent, declared once. */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { createRegistry } from "@couchestor/common/observe/registry.ts";
import { type AddGauge, sampledGauges, sampleOf } from "@couchestor/common/observe/sampled-gauge.ts";
import { Counter, Histogram, type Registry } from "prom-client";
import type { HealthMonitor } from "../devices/health/health-monitor.ts";
import { addDeviceHealthMetrics } from "../devices/health/metrics.ts";
import { addDeviceMetrics } from "../devices/metrics.ts";
import type { DeviceMonitor } from "../devices/monitor.ts";
import type { MemoryBudgets } from "../mover/byte-budget.ts";
import type { IoLatency } from "../store/io-latency.ts";
import type { ChunkStoreStats, PoolChunkStore } from "../store/pool-chunk-store.ts";
import { addIoLatencyMetrics } from "./io-latency-metrics.ts";

export interface MetricsSources {
  nodeName: string;
  codec: string;
  pools(): PoolInfo[];
  stores(): PoolChunkStore[];
  /** Absent: this agent looks at no devices. */
  devices?: { monitor: Pick<DeviceMonitor, "devices">; health: Pick<HealthMonitor, "all"> };
  /** Of devices that pools have open. */
  ioLatencies?: () => ReadonlyMap<string, IoLatency>;
  acts(): { active: number; ends: ReadonlyMap<string, number> };
  reads(): { chunksRead: number; bytesRead: number; degradedStripes: number };
  memory(): MemoryBudgets;
  brainAnsweredMsAgo(): number | undefined;
}

export interface AgentMetrics {
  registry: Registry;
  request(route: { listener: string; method: string; path: string; status: number }, seconds: number): void;
  chunk(operation: "put" | "get" | "verify" | "delete" | "list", outcome: string, bytes: number): void;
}

const secondsBuckets = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30];

/** The registry with all collectors; figures of others are asked for at each scrape. */
export function agentMetrics(sources: MetricsSources): AgentMetrics {
  const registry = createRegistry({ role: "agent", defaultLabels: { node: sources.nodeName } });
  const registers = [registry];
  const requests = new Histogram({
    name: "couchestor_http_request_seconds",
    help: "Time to the answer of HTTP requests.",
    labelNames: ["listener", "method", "path", "status"],
    buckets: secondsBuckets,
    registers,
  });
  const operations = new Counter({
    name: "couchestor_chunk_operations_total",
    help: "Chunk operations of the cluster API, by outcome: ok, or the code of the error.",
    labelNames: ["operation", "outcome"],
    registers,
  });
  const bytes = new Counter({
    name: "couchestor_chunk_bytes_total",
    help: "Bytes of chunks moved by the cluster API.",
    labelNames: ["operation"],
    registers,
  });
  const gauge = sampledGauges(registers);
  addPoolGauges(gauge, sources);
  addActGauges(gauge, sources);
  const { devices, ioLatencies } = sources;
  const deviceAt = (path: string) => devices?.monitor.devices().find((device) => device.path === path)?.id;
  if (ioLatencies !== undefined) addIoLatencyMetrics(registers, { latencies: ioLatencies, deviceAt });
  if (devices !== undefined) {
    addDeviceMetrics(gauge, () => devices.monitor.devices());
    addDeviceHealthMetrics(gauge, () => devices.health.all());
  }
  return {
    registry,
    request: ({ listener, method, path, status }, seconds) =>
      requests.observe({ listener, method, path, status: String(status) }, seconds),
    chunk: (operation, outcome, moved) => {
      operations.inc({ operation, outcome });
      if (moved > 0) bytes.inc({ operation }, moved);
    },
  };
}

function addPoolGauges(gauge: AddGauge, { pools, stores }: MetricsSources): void {
  const labelNames = ["pool", "pool_uuid"];
  const labelsOf = ({ poolName, poolUuid }: PoolInfo) => ({ pool: poolName, pool_uuid: poolUuid });
  const ofPool = (name: string, help: string, value: (info: PoolInfo) => number) =>
    gauge(name, help, labelNames, () => pools().map((info) => ({ labels: labelsOf(info), value: value(info) })));
  ofPool("couchestor_pool_capacity_bytes", "Size of the pool.", (info) => info.capacityBytes);
  ofPool("couchestor_pool_used_bytes", "Bytes taken on the medium, garbage included.", (info) => info.usedBytes);
  ofPool("couchestor_pool_free_bytes", "Bytes that can still be written.", (info) => info.freeBytes);
  ofPool("couchestor_pool_live_bytes", "Bytes of live chunks, headers included.", (info) => info.liveBytes);
  ofPool("couchestor_pool_chunks", "Live chunks.", (info) => info.chunkCount);
  ofPool("couchestor_pool_online", "1 if the pool reads and writes.", (info) => (info.state === "Online" ? 1 : 0));
  gauge("couchestor_pool_state", "1 for the state the pool is in.", [...labelNames, "state"], () =>
    pools().map((info) => ({ labels: { ...labelsOf(info), state: info.state }, value: 1 })),
  );
  const ofStore = (name: string, help: string, value: (stats: ChunkStoreStats) => number) =>
    gauge(name, help, labelNames, () =>
      stores().map((store) => ({ labels: labelsOf(store.info()), value: value(store.stats()) })),
    );
  ofStore("couchestor_pool_index_bytes", "Memory of the pool's index.", ({ indexBytes }) => indexBytes);
  ofStore("couchestor_pool_damaged_ranges", "Ranges whose records could not be read.", ({ damage }) => damage.length);
}

function addActGauges(gauge: AddGauge, sources: MetricsSources): void {
  const figure = (name: string, help: string, value: () => number | undefined) =>
    gauge(name, help, [], () => sampleOf(value()));
  figure("couchestor_acts_active", "Acts accepted and not yet over.", () => sources.acts().active);
  figure("couchestor_read_chunks_total", "Chunks read for volume reads.", () => sources.reads().chunksRead);
  figure(
    "couchestor_read_chunk_bytes_total",
    "Bytes of chunks read for volume reads.",
    () => sources.reads().bytesRead,
  );
  figure(
    "couchestor_degraded_stripe_reads_total",
    "Stripe reads that met a missing shard.",
    () => sources.reads().degradedStripes,
  );
  figure("couchestor_memory_budget_used_bytes", "Data held in memory on its way.", () => {
    const { moving, serving } = sources.memory();
    return moving.usedBytes + serving.usedBytes;
  });
  figure("couchestor_memory_budget_bytes", "The most data held in memory on its way.", () => {
    const { moving, serving } = sources.memory();
    return moving.totalBytes + serving.totalBytes;
  });
  figure("couchestor_brain_answered_seconds_ago", "Since the brain last answered a heartbeat.", () => {
    const ms = sources.brainAnsweredMsAgo();
    return ms === undefined ? undefined : ms / 1000;
  });
  gauge("couchestor_acts_ended_total", "Acts that are over, by kind and outcome.", ["kind", "outcome"], () =>
    [...sources.acts().ends].map(([label, value]) => {
      const [kind = "", outcome = ""] = label.split(" ");
      return { labels: { kind, outcome }, value };
    }),
  );
  gauge("couchestor_codec_info", "1, with the codec in use as a label.", ["codec"], () => [
    { labels: { codec: sources.codec }, value: 1 },
  ]);
}
