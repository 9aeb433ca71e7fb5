/** Gauges whose samples are taken at each scrape. What is not sampled has no series: unknown is never zero. */
import { Gauge, type Registry } from "prom-client";

export interface Sample {
  labels?: Record<string, string>;
  value: number;
}

/** Adds a gauge; `read` gives all of its samples. */
export type AddGauge = (name: string, help: string, labelNames: readonly string[], read: () => Sample[]) => void;

/** Adds gauges to these registries. */
export function sampledGauges(registers: Registry[]): AddGauge {
  return (name, help, labelNames, read) => {
    new Gauge({
      name,
      help,
      labelNames: [...labelNames],
      registers,
      collect() {
        this.reset();
        // The library leaves a gauge without labels at 0.
        this.remove({});
        for (const { labels, value } of read()) this.set(labels ?? {}, value);
      },
    });
  };
}

/** One sample without labels; none for a figure that is not known. */
export function sampleOf(value: number | undefined): Sample[] {
  return value === undefined ? [] : [{ value }];
}
