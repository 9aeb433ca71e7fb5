import { expect, test } from "bun:test";
import { type Bench, geometricMean, lessIsBetter, median, moreIsBetter } from "./bench.ts";
import { choose, jsonLine, tableLine } from "./main.ts";

const line = moreIsBetter({ bench: "ec/encode", ours: 12.34567, theirs: 10, reference: "C", unit: "GB/s" });

test("a line for machines has the six fields of the contract, and figures without noise", () => {
  expect(JSON.parse(jsonLine(line))).toEqual({
    bench: "ec/encode",
    ours: 12.35,
    theirs: 10,
    reference: "C",
    unit: "GB/s",
    ratio: 1.235,
  });
  expect(tableLine(line)).toContain("1.23 × C (10)");
});

test("a ratio above 1 is better, for speeds and for times", () => {
  expect(line.ratio).toBeGreaterThan(1);
  expect(lessIsBetter({ bench: "x", ours: 1, theirs: 2, reference: "r", unit: "s" }).ratio).toBe(2);
});

test("benchmarks are chosen by the start of their names", () => {
  const all = ["ec/encode", "ec/decode", "chunk/put"].map((name): Bench => ({ name, run: async () => [] }));
  const names = (...wanted: string[]) => choose(all, wanted).map((bench) => bench.name);
  expect(names()).toHaveLength(3);
  expect(names("ec/")).toEqual(["ec/encode", "ec/decode"]);
  expect(names("ec/*", "chunk")).toHaveLength(3);
  expect(names("zz")).toEqual([]);
});

test("means", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(geometricMean([0.5, 2])).toBe(1);
});
