import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { heatOf, planWindow, pointsMax, type VolumeSamples, type WindowPlan } from "./heat.ts";

const hourMs = 3_600_000;

function plan(points: number, windowMs = hourMs): WindowPlan {
  const made = planWindow(windowMs, points * 4);
  if ("kind" in made) throw new Error(made.message);
  return made;
}

function found(rates: (number | undefined)[], more: Partial<VolumeSamples> = {}): VolumeSamples {
  const half = rates.map((rate) => (rate === undefined ? undefined : rate / 2));
  const base = { samples: 120, ageMs: 5_000, source: "test", exporterDown: false, duplicate: false };
  return { reads: half, writes: half, ...base, ...more };
}

const points = fc.integer({ min: 1, max: pointsMax });
const rate = fc.integer({ min: 0, max: 1e8 }).map((hundredths) => hundredths / 100);
const series = points.chain((n) =>
  fc.tuple(fc.constant(n), fc.array(rate, { minLength: n + 1, maxLength: n + 1 }), fc.nat({ max: n })),
);

/** The score by its definition: an integral over the window, in small steps, of what was the rate then. */
function integral(n: number, rates: readonly number[]): number {
  const slices = 200;
  let sum = 0;
  let total = 0;
  for (let i = 1; i <= n; i++) {
    for (let s = 0; s < slices; s++) {
      const age = n - i + (s + 0.5) / slices;
      const w = 2 ** (-age / (n / 2));
      sum += w * (rates[i] ?? 0);
      total += w;
    }
  }
  return sum / total;
}

describe("heat", () => {
  test("is the exponentially weighted mean of the window, and lies between the least and the greatest rate", () => {
    fc.assert(
      fc.property(series, ([n, rates]) => {
        const heat = heatOf(plan(n), found(rates));
        if (heat.kind !== "score") throw new Error(heat.message);
        const within = rates.slice(1);
        expect(heat.iops).toBeGreaterThanOrEqual(Math.min(...within) * (1 - 1e-9));
        expect(heat.iops).toBeLessThanOrEqual(Math.max(...within) * (1 + 1e-9) + 1e-9);
        expect(Math.abs(heat.iops - integral(n, rates))).toBeLessThanOrEqual(1e-3 * Math.max(...within) + 1e-9);
      }),
      { numRuns: 200 },
    );
  });

  test("counts what happened half a window ago half as much as what happens now", () => {
    const n = 30;
    const only = (at: number) => {
      const rates = new Array<number>(n + 1).fill(0);
      rates[at] = 1000;
      const heat = heatOf(plan(n), found(rates));
      return heat.kind === "score" ? heat.iops : Number.NaN;
    };
    expect(only(15) / only(30)).toBeCloseTo(0.5, 6);
    expect(only(10) / only(25)).toBeCloseTo(0.5, 6);
  });

  test("grows with every rate, and doubles when all double", () => {
    fc.assert(
      fc.property(series, rate, ([n, rates, at], more) => {
        const iops = (values: number[]) => {
          const heat = heatOf(plan(n), found(values));
          return heat.kind === "score" ? heat.iops : Number.NaN;
        };
        const raised = rates.map((value, i) => (i === at ? value + more : value));
        expect(iops(raised)).toBeGreaterThanOrEqual(iops(rates) * (1 - 1e-12));
        expect(iops(rates.map((value) => 2 * value))).toBeCloseTo(2 * iops(rates), 3);
      }),
      { numRuns: 200 },
    );
  });

  test("with gaps is the same steady rate or Unknown, and never lower for what is missing", () => {
    const gaps = points.chain((n) =>
      fc.tuple(fc.constant(n), fc.array(fc.boolean(), { minLength: n + 1, maxLength: n + 1 })),
    );
    fc.assert(
      fc.property(gaps, fc.double({ min: 1, max: 1e6, noNaN: true }), ([n, present], steady) => {
        // At the edge of a gap Prometheus spreads what it has over the whole range: any rate from nothing to the true one.
        const edge = (i: number) => present[i - 1] === false || present[i + 1] === false;
        const rates = present.map((there, i) => (there ? (edge(i) ? steady / 3 : steady) : undefined));
        if (present[0]) rates[0] = steady / 3;
        const heat = heatOf(plan(n), found(rates));
        if (heat.kind === "score") expect(heat.iops).toBeCloseTo(steady, 5);
        else expect(heat.reason).toBe("TooFewSamples");
      }),
      { numRuns: 500 },
    );
  });

  test("is Unknown when any value is no number of operations, whatever the others are", () => {
    const wrong = fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, -1);
    fc.assert(
      fc.property(series, wrong, fc.boolean(), ([n, rates, at], value, inReads) => {
        const bad = found(rates);
        const broken = Array.from(inReads ? bad.reads : bad.writes);
        broken[at] = value;
        const heat = heatOf(plan(n), { ...bad, [inReads ? "reads" : "writes"]: broken });
        expect(heat).toMatchObject({ kind: "unknown", reason: "NotANumber" });
      }),
      { numRuns: 200 },
    );
  });

  test("never is a number when the latest sample is too old or there is more than one series", () => {
    const age = fc.double({ min: 600_001, max: 1e9, noNaN: true });
    fc.assert(
      fc.property(series, age, fc.boolean(), ([n, rates], ageMs, exporterDown) => {
        const quiet = heatOf(plan(Math.max(n, 8)), found(rates, { ageMs: ageMs + hourMs, exporterDown }));
        expect(quiet).toMatchObject({ kind: "unknown", reason: exporterDown ? "ExporterDown" : "Stale" });
        expect(heatOf(plan(n), found(rates, { duplicate: true })).kind).toBe("unknown");
      }),
      { numRuns: 100 },
    );
  });

  test("reads without writes are no score: half of what is known is not known", () => {
    const rates = new Array<number>(11).fill(100);
    const heat = heatOf(plan(10), { ...found(rates), writes: new Array(11).fill(undefined) });
    expect(heat).toMatchObject({ kind: "unknown", reason: "TooFewSamples" });
  });
});

describe("the window", () => {
  test("is refused with fewer than four scrapes, and divided so that every range holds at least four", () => {
    fc.assert(
      fc.property(fc.integer({ min: 60_000, max: 30 * 86_400_000 }), fc.nat({ max: 100_000 }), (windowMs, samples) => {
        const made = planWindow(windowMs, samples);
        if ("kind" in made) {
          expect(samples).toBeLessThan(4);
          expect(made.reason).toBe("WindowTooShort");
          return;
        }
        expect(made.points).toBeLessThanOrEqual(pointsMax);
        expect(windowMs - made.points * made.stepMs).toBeWithin(0, pointsMax);
        expect(made.stepMs / made.scrapeIntervalMs).toBeGreaterThanOrEqual(3.99);
      }),
      { numRuns: 200 },
    );
  });
});
