import { describe, expect, test } from "bun:test";
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import fc from "fast-check";
import { type Watermarks, wantedTier } from "./watermarks.ts";

const tiers = ["hot", "warm", "cold"] as const;
const three: fc.Arbitrary<Watermarks> = fc
  .uniqueArray(fc.nat({ max: 20_000 }), { minLength: 3, maxLength: 3 })
  .map((values) => values.sort((a, b) => a - b))
  .map(([low = 0, warm = 1, high = 2]) => ({ low, warm, high }));
const two: fc.Arbitrary<Watermarks> = fc
  .uniqueArray(fc.nat({ max: 20_000 }), { minLength: 2, maxLength: 2 })
  .map((values) => values.sort((a, b) => a - b))
  .map(([low = 0, high = 1]) => ({ low, warm: 0, high }));
const marks = fc.oneof(three, two);
/** Any score, and those at and around the watermarks more often. */
const scored = marks.chain((m) =>
  fc.tuple(
    fc.constant(m),
    fc.oneof(
      fc.double({ min: 0, max: 40_000, noNaN: true }),
      fc
        .tuple(fc.constantFrom(m.low, m.warm, m.high), fc.constantFrom(0.89, 0.9, 0.95, 1, 1.05, 1.1, 1.11))
        .map(([mark, by]) => mark * by),
    ),
  ),
);
const somewhere = fc.constantFrom<(Tier | undefined)[]>(...tiers, undefined);

/** Where a volume is after the decision. */
const after = (m: Watermarks, iops: number, from: Tier): Tier => wantedTier(m, iops, from).tier ?? from;

describe("watermarks", () => {
  test("for a volume on no tier are exactly: at least high hot, from warm to high warm, between low and warm nothing, at most low cold", () => {
    fc.assert(
      fc.property(scored, ([m, iops]) => {
        const expected =
          iops >= m.high ? "hot" : iops <= m.low ? "cold" : m.warm > 0 && iops >= m.warm ? "warm" : undefined;
        expect(wantedTier(m, iops, undefined).tier).toBe(expected);
      }),
      { numRuns: 1000 },
    );
  });

  test("at their very values", () => {
    const m = { low: 500, warm: 2000, high: 5000 };
    const tier = (iops: number) => wantedTier(m, iops, undefined).tier;
    expect([5000, 4999.9, 2000, 1999.9, 500.1, 500, 0].map(tier)).toEqual([
      "hot",
      "warm",
      "warm",
      undefined,
      undefined,
      "cold",
      "cold",
    ]);
  });

  test("the tier a volume is on only ever keeps it there: it never sends it elsewhere than the score does", () => {
    fc.assert(
      fc.property(scored, somewhere, ([m, iops], from) => {
        const alone = wantedTier(m, iops, undefined).tier;
        const wanted = wantedTier(m, iops, from).tier;
        expect([alone, undefined]).toContain(wanted);
        if (wanted === undefined && alone !== undefined) expect(wantedTier(m, iops, from).reason).toBe("Hysteresis");
      }),
      { numRuns: 1000 },
    );
  });

  test("beyond 10 % of every watermark nothing holds a volume back", () => {
    fc.assert(
      fc.property(scored, fc.constantFrom(...tiers), ([m, iops], from) => {
        const near = [m.low, m.warm, m.high].some((mark) => iops >= mark * 0.9 && iops <= mark * 1.1);
        if (!near) expect(wantedTier(m, iops, from).reason).not.toBe("Hysteresis");
      }),
      { numRuns: 1000 },
    );
  });

  test("a score that swings by less than 10 % never brings a volume back to a tier it has left", () => {
    const swings = fc.array(fc.double({ min: 1, max: 1.09, noNaN: true }), { minLength: 2, maxLength: 20 });
    fc.assert(
      fc.property(scored, fc.constantFrom(...tiers), swings, ([m, iops], start, factors) => {
        let at: Tier = start;
        const left = new Set<Tier>();
        for (const factor of factors) {
          const next = after(m, iops * factor, at);
          if (next !== at) left.add(at);
          expect(left.has(next)).toBe(false);
          at = next;
        }
      }),
      { numRuns: 1000 },
    );
  });

  test("more heat never means a colder tier, but for what stays hot between low and warm", () => {
    const rank = { hot: 2, warm: 1, cold: 0 };
    fc.assert(
      fc.property(
        scored,
        fc.double({ min: 0, max: 10_000, noNaN: true }),
        fc.constantFrom(...tiers),
        ([m, iops], more, from) => {
          const idles = from === "hot" && m.warm > 0 && iops > m.low && iops < m.warm;
          if (idles) return expect(after(m, iops, from)).toBe("hot");
          expect(rank[after(m, iops + more, from)]).toBeGreaterThanOrEqual(rank[after(m, iops, from)]);
        },
      ),
      { numRuns: 1000 },
    );
  });

  test("with two tiers nothing becomes warm and nothing happens between", () => {
    fc.assert(
      fc.property(two, fc.double({ min: 0, max: 40_000, noNaN: true }), somewhere, (m, iops, from) => {
        const { tier } = wantedTier(m, iops, from);
        expect(tier).not.toBe("warm");
        if (iops > m.low && iops < m.high) expect(tier).toBeUndefined();
      }),
      { numRuns: 500 },
    );
  });
});
