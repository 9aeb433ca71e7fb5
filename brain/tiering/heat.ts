/**
 * How hot a volume is: its time-weighted IOPS over a window, the weight of an operation halving every half window. Pure. What can't be
 * told is Unknown with a reason, never zero: zero would move a busy volume to slow disks.
 */

export type UnknownHeatReason =
  /** No sample in the whole window: not published, or not exported. */
  | "SeriesMissing"
  /** There were samples, but the latest is too old. */
  | "Stale"
  /** As Stale or SeriesMissing, and what exported it can't be scraped. */
  | "ExporterDown"
  /** Too little of the window is covered. */
  | "TooFewSamples"
  /** The scrape interval is too long for the window. */
  | "WindowTooShort"
  | "NotANumber"
  | "Duplicate"
  /** Prometheus did not answer, or not with an answer. */
  | "SourceUnavailable";

export interface HeatScore {
  kind: "score";
  /** Reads and writes a second, time-weighted. */
  iops: number;
  /** Raw samples of the window that it rests on. */
  samples: number;
  /** Where it comes from: the metrics' names. */
  source: string;
  /** Of the latest sample, when it was asked for. */
  ageMs: number;
}

export interface UnknownHeat {
  kind: "unknown";
  reason: UnknownHeatReason;
  /** For people: what is missing and what to do. */
  message: string;
}

export type Heat = HeatScore | UnknownHeat;

/** The instants at which a rate is asked for, each over the `stepMs` before it. */
export interface WindowPlan {
  windowMs: number;
  stepMs: number;
  /** Points within the window; one more, before it, is asked for as evidence. */
  points: number;
  scrapeIntervalMs: number;
}

/** Raw samples that must fit into a window, and into the range of each rate. */
export const samplesPerRangeMin = 4;
export const pointsMax = 30;
/** Of the window's weight that must be covered. */
export const coverageMin = 0.5;
/** Of the raw samples that the covered part should have: ranges with holes give rates that are too low. */
export const densityMin = 0.6;
/** The latest sample may be this many scrape intervals old, or a minute, or in a short window a quarter of it. */
const staleIntervals = 4;
const staleMsMin = 60_000;
/** A latest sample that is older than this many scrape intervals has a missed scrape behind it. */
const freshIntervals = 1.5;

/**
 * How to divide a window in which the most complete series has `samplesMax` samples; Unknown if the exporter is scraped too seldom for it.
 * With a short history the scrape interval is overestimated, which only makes fewer and longer ranges.
 */
export function planWindow(windowMs: number, samplesMax: number): WindowPlan | UnknownHeat {
  if (samplesMax < samplesPerRangeMin) {
    return unknown(
      "WindowTooShort",
      `the window of ${windowMs / 1000} s holds ${samplesMax} samples of the best scraped volume, at least ${samplesPerRangeMin} are needed: lengthen samplingWindow or shorten the scrape interval`,
    );
  }
  const points = Math.min(pointsMax, Math.floor(samplesMax / samplesPerRangeMin));
  return { windowMs, stepMs: Math.floor(windowMs / points), points, scrapeIntervalMs: windowMs / samplesMax };
}

/** What was found of one volume. A rate is at its point's index, 0 being the one before the window; undefined where there was none. */
export interface VolumeSamples {
  reads: ArrayLike<number | undefined>;
  writes: ArrayLike<number | undefined>;
  /** Raw samples within the window. */
  samples: number;
  /** Age of the latest raw sample; undefined if there is none in the time that was looked at. */
  ageMs: number | undefined;
  source: string;
  exporterDown: boolean;
  duplicate: boolean;
}

/** The heat of one volume. */
export function heatOf(plan: WindowPlan, found: VolumeSamples): Heat {
  if (found.duplicate) {
    return unknown("Duplicate", "Prometheus gives more than one series for this volume: ask one Prometheus only");
  }
  if (found.ageMs === undefined || found.ageMs > staleAfterMs(plan)) return goneQuiet(plan, found);
  const rates = combined(plan, found);
  if (rates === "invalid") {
    return unknown("NotANumber", "the rates of this volume hold values that are no operations a second");
  }
  const lastIsWhole = found.ageMs <= freshIntervals * plan.scrapeIntervalMs;
  const { sum, weight, total, count } = weighed(plan, rates, lastIsWhole);
  if (weight < coverageMin * total) {
    const percent = Math.floor((100 * weight) / total);
    if (found.exporterDown) return goneQuiet(plan, found);
    return unknown(
      "TooFewSamples",
      `samples cover ${percent} % of the window's weight, at least ${100 * coverageMin} % is needed: wait until there is more history`,
    );
  }
  const expected = Math.floor((count * plan.stepMs) / plan.scrapeIntervalMs);
  if (found.samples < densityMin * expected) {
    return unknown(
      "TooFewSamples",
      `${found.samples} samples where ${expected} were to be expected: scrapes fail, or this exporter is scraped less often than others`,
    );
  }
  return { kind: "score", iops: sum / weight, samples: found.samples, source: found.source, ageMs: found.ageMs };
}

/** The Unknown of a volume of which there is nothing. */
export function missingHeat(exporterDown: boolean): UnknownHeat {
  if (exporterDown) return unknown("ExporterDown", "nothing is measured: the metrics exporter can't be scraped");
  return unknown("SeriesMissing", "no sample in the window: the volume is not published, or its node is not scraped");
}

export function unknown(reason: UnknownHeatReason, message: string): UnknownHeat {
  return { kind: "unknown", reason, message };
}

/** How old the latest sample may be. */
export function staleAfterMs(plan: WindowPlan): number {
  return Math.max(Math.min(staleMsMin, plan.windowMs / 4), staleIntervals * plan.scrapeIntervalMs);
}

function goneQuiet(plan: WindowPlan, found: VolumeSamples): UnknownHeat {
  const last = found.ageMs === undefined ? "long ago" : `${Math.round(found.ageMs / 1000)} s ago`;
  const limit = Math.round(staleAfterMs(plan) / 1000);
  if (found.samples === 0 && found.ageMs === undefined) return missingHeat(found.exporterDown);
  if (found.exporterDown) {
    return unknown("ExporterDown", `the latest sample came ${last}: the metrics exporter can't be scraped`);
  }
  return unknown("Stale", `the latest sample came ${last}, at most ${limit} s is allowed: the volume is not published`);
}

/** Reads plus writes at each point, where both are known. */
function combined(plan: WindowPlan, found: VolumeSamples): (number | undefined)[] | "invalid" {
  const rates: (number | undefined)[] = [];
  for (let i = 0; i <= plan.points; i++) {
    const [read, write] = [found.reads[i], found.writes[i]];
    if (read !== undefined && !(read >= 0 && read < Number.POSITIVE_INFINITY)) return "invalid";
    if (write !== undefined && !(write >= 0 && write < Number.POSITIVE_INFINITY)) return "invalid";
    rates.push(read === undefined || write === undefined ? undefined : read + write);
  }
  return rates;
}

/**
 * The weighted sum over the points whose whole range has samples. Where a series begins or ends, the rate of the range around it is that
 * of a part, spread over the whole, and too low: those next to a gap don't count.
 */
function weighed(plan: WindowPlan, rates: readonly (number | undefined)[], lastIsWhole: boolean) {
  let sum = 0;
  let weight = 0;
  let total = 0;
  let count = 0;
  for (let i = 1; i <= plan.points; i++) {
    const w = weightOf(plan, i);
    total += w;
    const rate = rates[i];
    const whole = rates[i - 1] !== undefined && (i === plan.points ? lastIsWhole : rates[i + 1] !== undefined);
    if (rate === undefined || !whole) continue;
    sum += w * rate;
    weight += w;
    count += 1;
  }
  return { sum, weight, total, count };
}

/** The weight of a point: 2^(−age / half window), taken in over its range. The latest point is the last. */
function weightOf(plan: WindowPlan, index: number): number {
  const halfLives = (age: number): number => 2 ** (-(2 * age) / plan.points);
  const age = plan.points - index;
  return halfLives(age) - halfLives(age + 1);
}
