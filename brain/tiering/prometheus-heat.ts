/**
 * Heat from Prometheus: five queries for any number of volumes, one after the other so that only one answer is in memory. Answers are
 * kept for 30 s; who asks for the same window meanwhile waits for the same answer. Times are Prometheus' own, whatever our clock says.
 */

import { AppError } from "@couchestor/common/errors/app-error.ts";
import { SingleFlight } from "@couchestor/common/resilience/single-flight.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import {
  type Heat,
  heatOf,
  missingHeat,
  planWindow,
  type UnknownHeat,
  unknown,
  type VolumeSamples,
  type WindowPlan,
} from "./heat.ts";
import {
  countsQuery,
  downQuery,
  type HeatMetrics,
  latestQuery,
  mayastorMetrics,
  ratesQuery,
  sourceLabel,
  volumeLabel,
} from "./heat-queries.ts";
import type { HeatSnapshot, HeatSource } from "./heat-source.ts";
import { PrometheusApi, type PrometheusOptions, type Series } from "./prometheus-api.ts";

export interface PrometheusHeatOptions extends PrometheusOptions {
  metrics?: HeatMetrics;
  ttlMs?: number;
}

export const heatTtlMs = 30_000;
/** Windows kept at once: that many different ones of policies. The oldest goes first. */
const windowsMax = 64;

export class PrometheusHeat implements HeatSource {
  readonly name: string;
  readonly #clock: Clock;
  readonly #api: PrometheusApi;
  readonly #metrics: HeatMetrics;
  readonly #ttlMs: number;
  readonly #kept = new Map<number, HeatSnapshot>();
  readonly #flights = new SingleFlight<number, HeatSnapshot>();

  constructor(clock: Clock, options: PrometheusHeatOptions) {
    this.#clock = clock;
    this.#api = new PrometheusApi(clock, options);
    this.#metrics = options.metrics ?? mayastorMetrics;
    this.#ttlMs = options.ttlMs ?? heatTtlMs;
    this.name = `Prometheus at ${this.#api.url}`;
  }

  get requests(): number {
    return this.#api.requests;
  }

  ping(signal?: AbortSignal): Promise<void> {
    return this.#api.ping(signal);
  }

  async snapshot(windowMs: number, signal?: AbortSignal): Promise<HeatSnapshot> {
    signal?.throwIfAborted();
    const kept = this.#kept.get(windowMs);
    if (kept !== undefined && this.#clock.monotonicMs() - kept.takenAtMs < this.#ttlMs) return kept;
    // Whoever gives up leaves the others waiting: the query itself goes on, within its own limits.
    const flight = this.#flights.run(windowMs, async () => {
      const taken = await this.#take(windowMs);
      this.#kept.delete(windowMs);
      this.#kept.set(windowMs, taken);
      for (const key of this.#kept.keys()) if (this.#kept.size > windowsMax) this.#kept.delete(key);
      return taken;
    });
    return await (signal === undefined ? flight : unlessAborted(flight, signal));
  }

  async #take(windowMs: number): Promise<HeatSnapshot> {
    const before = this.#api.requests;
    const latest = await this.#api.instant(latestQuery(this.#metrics, windowMs));
    const wallMs = this.#clock.wallMs();
    const nowMs = presentOf(latest);
    const counts = await this.#api.instant(countsQuery(this.#metrics, windowMs));
    const plan = planWindow(
      windowMs,
      counts.reduce((most, series) => Math.max(most, numberOf(series)), 0),
    );
    const gathered = new Gathered(nowMs, counts, latest);
    gathered.addDown(await this.#api.instant(downQuery(this.#metrics, windowMs)));
    if ("points" in plan) {
      const times = { startMs: nowMs - plan.points * plan.stepMs, endMs: nowMs, stepMs: plan.stepMs };
      for (const which of ["reads", "writes"] as const) {
        const query = ratesQuery(this.#metrics, which, plan.stepMs);
        gathered.addRates(which, plan, times.startMs, await this.#api.range(query, times));
      }
    }
    const names = this.#metrics.reads.join(", ");
    return snapshotOf(gathered, plan, names, {
      requests: this.#api.requests - before,
      clockOffsetMs: nowMs - wallMs,
      takenAtMs: this.#clock.monotonicMs(),
    });
  }
}

interface Found extends VolumeSamples {
  reads: (number | undefined)[];
  writes: (number | undefined)[];
}

/** What the answers say, by volume. */
class Gathered {
  readonly volumes = new Map<string, Found>();
  readonly down = new Set<string>();

  constructor(nowMs: number, counts: readonly Series[], latest: readonly Series[]) {
    for (const series of counts) {
      const found = this.#volume(series);
      if (found === undefined) continue;
      if (found.samples > 0) found.duplicate = true;
      found.samples = numberOf(series);
      found.source = series.labels[sourceLabel] ?? "unknown";
    }
    for (const series of latest) {
      const found = this.#volume(series);
      if (found === undefined) continue;
      if (found.ageMs !== undefined) found.duplicate = true;
      found.ageMs = Math.max(0, nowMs - numberOf(series) * 1000);
    }
  }

  addDown(answer: readonly Series[]): void {
    for (const series of answer) {
      const name = series.labels[volumeLabel];
      if (name === undefined || numberOf(series) !== 1) continue;
      this.down.add(name);
      const found = this.volumes.get(name);
      if (found !== undefined) found.exporterDown = true;
    }
  }

  addRates(which: "reads" | "writes", plan: WindowPlan, startMs: number, answer: readonly Series[]): void {
    const seen = new Set<string>();
    for (const series of answer) {
      const found = this.#volume(series);
      const name = series.labels[volumeLabel];
      if (found === undefined || name === undefined) continue;
      if (seen.has(name)) found.duplicate = true;
      seen.add(name);
      if (which === "writes") found.source = `${found.source}+${series.labels[sourceLabel] ?? "unknown"}`;
      for (const [seconds, text] of series.values) {
        const index = Math.round((seconds * 1000 - startMs) / plan.stepMs);
        if (index >= 0 && index <= plan.points) found[which][index] = parseValue(text);
      }
    }
  }

  #volume(series: Series): Found | undefined {
    const name = series.labels[volumeLabel];
    if (name === undefined) return undefined;
    let found = this.volumes.get(name);
    if (found === undefined) {
      const rates = { reads: [], writes: [], samples: 0, ageMs: undefined, source: "unknown" };
      found = { ...rates, exporterDown: false, duplicate: false };
      this.volumes.set(name, found);
    }
    return found;
  }
}

function snapshotOf(
  gathered: Gathered,
  plan: WindowPlan | UnknownHeat,
  metricNames: string,
  facts: Pick<HeatSnapshot, "requests" | "clockOffsetMs" | "takenAtMs">,
): HeatSnapshot {
  const heats = new Map<string, Heat>();
  for (const [name, found] of gathered.volumes) {
    heats.set(
      name,
      "points" in plan ? heatOf(plan, found) : found.samples === 0 ? missingHeat(found.exporterDown) : plan,
    );
  }
  const none = unknown(
    "SeriesMissing",
    `Prometheus has no series ${metricNames} at all: is Mayastor's metrics exporter enabled, and scraped?`,
  );
  return {
    ...facts,
    volumes: heats.size,
    of(names) {
      for (const name of names) {
        const heat = heats.get(name);
        if (heat !== undefined) return heat;
      }
      return heats.size === 0 ? none : missingHeat(false);
    },
  };
}

/** Prometheus' own time: the one entry without labels. */
function presentOf(latest: readonly Series[]): number {
  const present = latest.find((series) => series.labels[volumeLabel] === undefined);
  const seconds = present === undefined ? Number.NaN : numberOf(present);
  if (Number.isFinite(seconds)) return Math.round(seconds * 1000);
  throw new AppError("Internal", "Prometheus' answer can't be read: it doesn't say what time it is");
}

function numberOf(series: Series): number {
  return parseValue(series.values[0]?.[1] ?? "NaN");
}

/** As Prometheus writes numbers: also NaN, +Inf and -Inf. */
function parseValue(text: string): number {
  if (text === "+Inf" || text === "Inf") return Number.POSITIVE_INFINITY;
  if (text === "-Inf") return Number.NEGATIVE_INFINITY;
  return text.trim() === "" ? Number.NaN : Number(text);
}

/** Stops waiting when `signal` aborts. A listener that stayed would keep the signal, one for each call, as long as what it follows lives. */
async function unlessAborted<T>(flight: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([flight, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
