/** Metrics of migrations as they are carried out: how they end and why, how long they take, what they copy, and what is asked of Mayastor. */
import { Counter, Histogram, type Registry } from "prom-client";
import type { MigrationMetrics } from "../migration/ports.ts";

export class CarriedOut implements MigrationMetrics {
  readonly #ends: Counter;
  readonly #seconds: Histogram;
  readonly #bytes: Counter;
  readonly #changes: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    this.#ends = new Counter({
      name: "couchestor_migration_ends_total",
      help: "Migrations that this brain has ended, by how and why.",
      labelNames: ["result", "reason"],
      registers,
    });
    this.#seconds = new Histogram({
      name: "couchestor_migration_seconds",
      help: "From the first step to the end, by how it ended.",
      labelNames: ["result"],
      buckets: [10, 60, 300, 900, 1_800, 3_600, 7_200, 14_400, 43_200, 86_400],
      registers,
    });
    this.#bytes = new Counter({
      name: "couchestor_migration_bytes_total",
      help: "Bytes that ended migrations have copied.",
      registers,
    });
    this.#changes = new Counter({
      name: "couchestor_mayastor_changes_total",
      help: "Changes asked of Mayastor, by what became of them; unknown is looked after until it is known.",
      labelNames: ["kind", "outcome"],
      registers,
    });
  }

  ended({ result, reason, durationMs, bytes }: Parameters<MigrationMetrics["ended"]>[0]): void {
    this.#ends.inc({ result, reason });
    this.#seconds.observe({ result }, durationMs / 1000);
    this.#bytes.inc(bytes);
  }

  called({ kind, outcome }: Parameters<MigrationMetrics["called"]>[0]): void {
    this.#changes.inc({ kind, outcome });
  }
}
