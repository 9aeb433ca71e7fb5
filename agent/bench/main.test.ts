import { expect, test } from "bun:test";
import { type Bench, geometricMean, lessIsBetter, median, moreIsBetter } from "./bench.ts";
import { jsonLine, matcher, runAll, tableLine } from "./main.ts";

const line = moreIsBetter({ bench: "ec.encode", ours: 12.34567, theirs: 10, reference: "C", unit: "GB/s" });

test("a line for machines has the six fields of the contract, and figures without noise", () => {
  expect(JSON.parse(jsonLine(line))).toEqual({
    bench: "ec.encode",
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

test("without a reference a line has neither theirs nor ratio", () => {
  expect(JSON.parse(jsonLine({ bench: "x", ours: 3, unit: "MiB" }))).toEqual({ bench: "x", ours: 3, unit: "MiB" });
  expect(tableLine({ bench: "x", ours: 3, unit: "MiB" })).toEndWith("3 MiB");
});

test("lines are chosen by the start of their names, down to a single one", async () => {
  const printed: string[] = [];
  const asked: string[] = [];
  const bench: Bench = {
    lines: ["ec.encode.a", "ec.encode.b"],
    run: async (wanted) => {
      asked.push(...bench.lines.filter(wanted));
      return bench.lines.map((name) => ({ bench: name, ours: 1, unit: "s" }));
    },
  };
  expect(["ec.encode.a", "chunk.put"].filter(matcher([]))).toHaveLength(2);
  expect(["ec.encode.a", "chunk.put"].filter(matcher(["ec.*", "zz"]))).toEqual(["ec.encode.a"]);
  const keep = (line: { bench: string }) => {
    printed.push(line.bench);
    return "";
  };
  expect(await runAll([bench], matcher(["ec.encode.b"]), keep)).toBe(0);
  expect({ printed, asked }).toEqual({ printed: ["ec.encode.b"], asked: ["ec.encode.b"] });
});

test("means", () => {
  expect(median([3, 1, 2])).toBe(2);
  expect(median([4, 1, 2, 3])).toBe(2.5);
  expect(geometricMean([0.5, 2])).toBe(1);
});
