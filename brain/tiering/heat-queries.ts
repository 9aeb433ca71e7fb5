/** The PromQL for all volumes at once. The number of queries depends on nothing. */

export interface HeatMetrics {
  /** Names of the series that count reads, best first; the next is used for volumes that lack the one before. */
  reads: readonly string[];
  writes: readonly string[];
  /** Goes into every selector's braces, such as `cluster="a"`. */
  selector?: string;
}

/** Those of Mayastor's exporter since 2.6. */
export const mayastorMetrics: HeatMetrics = { reads: ["volume_num_read_ops"], writes: ["volume_num_write_ops"] };

/** The label with the metric's name in answers. */
export const sourceLabel = "couchestor_source";
export const volumeLabel = "pv_name";

/**
 * How far back the latest sample of a series that has ended is looked for: closely at first, since one failed scrape ends a series until
 * the next, then at steps of the 5 minutes that Prometheus itself looks back.
 */
const nearMsMax = 240_000;
const nearSteps = 8;
const farMsMax = 3_600_000;
const farStepMs = 300_000;

/**
 * Operations a second over `rangeMs`. A volume has one target, on one node; two scrapes of the same exporter say the same twice, and only
 * one of them counts; after a move two nodes have series for a while, and both count.
 */
export function ratesQuery(metrics: HeatMetrics, which: "reads" | "writes", rangeMs: number): string {
  return firstOf(metrics, metrics[which], (series) => perVolume(`rate(${series}[${rangeMs}ms])`));
}

/** Raw samples in the window. */
export function countsQuery(metrics: HeatMetrics, windowMs: number): string {
  return firstOf(metrics, metrics.reads, (series) => perVolume(`count_over_time(${series}[${windowMs}ms])`));
}

/** When each volume's latest sample was taken, and, without any label, Prometheus' own present; in seconds. */
export function latestQuery(metrics: HeatMetrics, windowMs: number): string {
  const nearMs = Math.min(windowMs, nearMsMax);
  const near = `${nearMs}ms:${Math.ceil(nearMs / nearSteps)}ms`;
  const far = windowMs > nearMsMax ? [`${Math.min(windowMs, farMsMax)}ms:${farStepMs}ms`] : [];
  const latest = metrics.reads.flatMap((name) => {
    const time = `timestamp(${seriesOf(name, metrics)})`;
    return [time, ...[near, ...far].map((range) => `max_over_time(${time}[${range}])`)];
  });
  const perVolumes = latest.map((expression) => `max by (${volumeLabel}) (${expression})`);
  return `${perVolumes.join(" or ")} or vector(time())`;
}

/** 1 for volumes of which something that can't be scraped now told in the window. */
export function downQuery(metrics: HeatMetrics, windowMs: number): string {
  const down = "max by (job, instance) (up == bool 0)";
  const told = metrics.reads.map((name) => {
    const series = `last_over_time(${seriesOf(name, metrics)}[${windowMs}ms])`;
    return `max by (${volumeLabel}) (group by (${volumeLabel}, job, instance) (${series}) * on (job, instance) group_left () ${down})`;
  });
  return told.join(" or ");
}

function perVolume(expression: string): string {
  return `sum by (${volumeLabel}) (max by (${volumeLabel}, node) (${expression}))`;
}

function firstOf(metrics: HeatMetrics, names: readonly string[], query: (series: string) => string): string {
  return names
    .map((name) => `label_replace(${query(seriesOf(name, metrics))}, "${sourceLabel}", "${name}", "", "")`)
    .join(` or on (${volumeLabel}) `);
}

function seriesOf(name: string, metrics: HeatMetrics): string {
  const within = [`${volumeLabel}!=""`, ...(metrics.selector === undefined ? [] : [metrics.selector])];
  return `${name}{${within.join(",")}}`;
}
