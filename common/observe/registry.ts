/**
 * A Prometheus registry with the collectors that every daemon has. Chosen ones: prom-client's own set starts observers that leak.
 */
import { readdirSync, readFileSync } from "node:fs";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Gauge, Registry } from "prom-client";
import { commit, version } from "../runtime/version.ts";
import { type AddGauge, sampledGauges, sampleOf } from "./sampled-gauge.ts";

export interface RegistryOptions {
  role: "agent" | "brain" | "standalone";
  /** Labels on every series: `{ node: "n1" }`. */
  defaultLabels?: Record<string, string>;
}

/** A registry with build info, resident memory, CPU time, open files and event-loop lag. */
export function createRegistry(options: RegistryOptions): Registry {
  const registry = new Registry();
  if (options.defaultLabels !== undefined) registry.setDefaultLabels(options.defaultLabels);
  const registers = [registry];
  new Gauge({
    name: "couchestor_build_info",
    help: "1, with the version and commit of this program as labels.",
    labelNames: ["version", "commit", "role"],
    registers,
  }).set({ version, commit, role: options.role }, 1);
  const gauge = sampledGauges(registers);
  addProcessMetrics(gauge);
  addEventLoopMetrics(gauge);
  return registry;
}

function addProcessMetrics(gauge: AddGauge): void {
  gauge(
    "process_resident_memory_bytes",
    "Resident memory, from /proc/self/statm (the runtime's own figure can be too low).",
    [],
    () => sampleOf(residentBytes()),
  );
  gauge("process_open_fds", "Open file descriptors.", [], () => sampleOf(openDescriptors()));
  gauge("process_cpu_seconds_total", "CPU time spent, user and system.", [], () => {
    const { user, system } = process.cpuUsage();
    return [{ value: (user + system) / 1e6 }];
  });
}

function addEventLoopMetrics(gauge: AddGauge): void {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  gauge("couchestor_event_loop_lag_seconds", "Delay of the event loop since the last scrape.", ["quantile"], () => {
    const samples = [0.5, 0.99, 1].flatMap((quantile) => {
      const nanoseconds = quantile === 1 ? delay.max : delay.percentile(quantile * 100);
      return Number.isFinite(nanoseconds) ? [{ labels: { quantile: String(quantile) }, value: nanoseconds / 1e9 }] : [];
    });
    delay.reset();
    return samples;
  });
}

/** Resident memory of this process in bytes; undefined where the system doesn't tell. */
export function residentBytes(): number | undefined {
  const pages = readProc("/proc/self/statm")?.toString("utf8").split(" ")[1];
  const pageBytes = pageSizeBytes();
  return pages === undefined || pageBytes === undefined ? undefined : Number(pages) * pageBytes;
}

let knownPageSizeBytes: number | undefined;

/** The kernel's page size from the auxiliary vector (AT_PAGESZ, type 6): 4 KiB nearly everywhere, but 16 or 64 KiB on some arm64. */
function pageSizeBytes(): number | undefined {
  if (knownPageSizeBytes !== undefined) return knownPageSizeBytes;
  const vector = readProc("/proc/self/auxv");
  for (let at = 0; vector !== undefined && at + 16 <= vector.length; at += 16) {
    if (vector.readBigUInt64LE(at) === 6n) knownPageSizeBytes = Number(vector.readBigUInt64LE(at + 8));
  }
  return knownPageSizeBytes;
}

function openDescriptors(): number | undefined {
  try {
    return readdirSync("/proc/self/fd").length;
  } catch {
    return undefined;
  }
}

function readProc(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
