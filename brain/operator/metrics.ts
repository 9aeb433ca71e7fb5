/** Metrics of a brain in Kubernetes: reconciliation, heat, decisions, caches, and the API server as seen from here. */
import { createRegistry } from "@couchestor/common/observe/registry.ts";
import { type Sample, sampledGauges, sampleOf } from "@couchestor/common/observe/sampled-gauge.ts";
import { Counter, Histogram, type Registry } from "prom-client";
import type { Attempt } from "../kube/transport.ts";
import type { ReconcileOutcome } from "../runtime/controller.ts";
import type { QueueStats } from "../runtime/work-queue.ts";
import type { TieringReport } from "../tiering/reconcile.ts";
import type { CacheState } from "./caches.ts";
import { migrationResults } from "./kept-migration.ts";
import { CarriedOut } from "./migration-metrics.ts";

/** What is read at each scrape. */
export interface Scraped {
  isLeader(): boolean;
  caches(): CacheState[];
  queues(): { controller: string; stats: QueueStats }[];
  /** Undefined before they have been read. */
  activeMigrations(): number | undefined;
  /** ECStripes by state; undefined while this brain doesn't count them. */
  stripes(): Partial<Record<string, number>> | undefined;
  report(): TieringReport | undefined;
  droppedEvents(): number;
}

export class OperatorMetrics {
  readonly registry: Registry;
  readonly #reconciles: Counter;
  readonly #reconcileSeconds: Histogram;
  readonly #migrations: Counter;
  readonly #requests: Histogram;
  readonly #requestErrors: Counter;
  readonly #reviews: Counter;
  /** Of migrations that this brain carries out. */
  readonly carriedOut: CarriedOut;

  constructor(scraped: Scraped) {
    this.registry = createRegistry({ role: "brain" });
    const registers = [this.registry];
    this.#reconciles = new Counter({
      name: "storage_operator_reconcile_total",
      help: "Reconciles by controller and outcome.",
      labelNames: ["controller", "outcome"],
      registers,
    });
    this.#reconcileSeconds = new Histogram({
      name: "couchestor_reconcile_seconds",
      help: "How long reconciles take.",
      labelNames: ["controller"],
      buckets: [0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30],
      registers,
    });
    this.#migrations = new Counter({
      name: "storage_operator_migrations_total",
      help: "Migrations seen to end, by how.",
      labelNames: ["status"],
      registers,
    });
    for (const result of migrationResults) this.#migrations.inc({ status: result.toLowerCase() }, 0);
    this.#requests = new Histogram({
      name: "couchestor_kube_request_seconds",
      help: "Requests to the API server.",
      labelNames: ["method", "code"],
      buckets: [0.005, 0.01, 0.05, 0.1, 0.5, 1, 5, 30],
      registers,
    });
    this.#requestErrors = new Counter({
      name: "couchestor_kube_request_errors_total",
      help: "Requests to the API server that it refused, or did not answer (code 0).",
      labelNames: ["method", "code"],
      registers,
    });
    this.#reviews = new Counter({
      name: "couchestor_admission_reviews_total",
      help: "Admission reviews by kind and verdict.",
      labelNames: ["kind", "allowed"],
      registers,
    });
    this.carriedOut = new CarriedOut(this.registry);
    addGauges(this.registry, scraped);
  }

  reconciled(controller: string, { outcome, tookMs }: ReconcileOutcome): void {
    this.#reconciles.inc({ controller, outcome });
    this.#reconcileSeconds.observe({ controller }, tookMs / 1000);
  }

  migrationEnded(result: string): void {
    this.#migrations.inc({ status: result.toLowerCase() });
  }

  requested({ method, status, tookMs }: Attempt): void {
    const labels = { method, code: String(status) };
    this.#requests.observe(labels, tookMs / 1000);
    if (status === 0 || status >= 400) this.#requestErrors.inc(labels);
  }

  reviewed({ kind, allowed }: { kind: string; allowed: boolean }): void {
    this.#reviews.inc({ kind, allowed: String(allowed) });
  }
}

function addGauges(registry: Registry, scraped: Scraped): void {
  const gauge = sampledGauges([registry]);
  gauge("couchestor_leader", "1 while this brain leads.", [], () => [{ value: scraped.isLeader() ? 1 : 0 }]);
  gauge("storage_operator_active_migrations", "Migrations under way.", [], () => sampleOf(scraped.activeMigrations()));
  gauge("storage_operator_ec_stripes_total", "ECStripes by state; absent where they are not counted.", ["state"], () =>
    Object.entries(scraped.stripes() ?? {}).map(([state, value]) => ({ labels: { state }, value: value ?? 0 })),
  );
  gauge("couchestor_queue_keys", "Keys of controllers' queues.", ["controller", "state"], () =>
    scraped.queues().flatMap(({ controller, stats }) =>
      (["waiting", "delayed", "processing"] as const).map((state) => ({
        labels: { controller, state },
        value: stats[state],
      })),
    ),
  );
  gauge("couchestor_cached_objects", "Objects kept of the API server's.", ["kind"], () =>
    scraped.caches().map(({ kind, objects }) => ({ labels: { kind }, value: objects })),
  );
  gauge("couchestor_cache_stale_seconds", "Since when a cache heard nothing; 0 while it listens.", ["kind"], () =>
    scraped
      .caches()
      .flatMap(({ kind, staleMs }) => (staleMs === undefined ? [] : [{ labels: { kind }, value: staleMs / 1000 }])),
  );
  gauge("couchestor_heat_age_seconds", "Of the oldest heat that the latest decisions were made on.", [], () => {
    const ageMs = scraped.report()?.heatAgeMs;
    return sampleOf(ageMs === undefined ? undefined : ageMs / 1000);
  });
  gauge("couchestor_heat_requests", "Requests to Prometheus that the heat of the latest decisions took.", [], () =>
    sampleOf(scraped.report()?.heatRequests),
  );
  gauge("couchestor_decisions", "Volumes by the latest decision on them.", ["action", "reason"], () =>
    decisionCounts(scraped.report()),
  );
  gauge("couchestor_events_dropped", "Events that were not written since this term began.", [], () => [
    { value: scraped.droppedEvents() },
  ]);
}

function decisionCounts(report: TieringReport | undefined): Sample[] {
  const counts = new Map<string, { labels: Record<string, string>; value: number }>();
  for (const { entries } of report?.plan?.policies ?? []) {
    for (const { action, reason } of entries) {
      const key = `${action} ${reason}`;
      const count = counts.get(key) ?? { labels: { action, reason }, value: 0 };
      count.value += 1;
      counts.set(key, count);
    }
  }
  return [...counts.values()];
}
