import { expect, test } from "bun:test";
import fc from "fast-check";
import { AppError } from "../errors/app-error.ts";
import { byteCounts } from "../testing/arbitraries.ts";
import { approximateBytes, formatBytes, parseBytes } from "./bytes.ts";
import { durationMsMax, formatDuration, parseDuration } from "./duration.ts";
import { formatRate, parseRate } from "./rate.ts";

test("every number of bytes is read back from its text exactly", () => {
  fc.assert(
    fc.property(byteCounts, (bytes) => parseBytes(formatBytes(bytes)) === bytes),
    { numRuns: 2000 },
  );
});

test("every rate is read back from its text exactly", () => {
  fc.assert(
    fc.property(byteCounts, (bytes) => parseRate(formatRate(bytes + 1 - (bytes % 2))) === bytes + 1 - (bytes % 2)),
    { numRuns: 1000 },
  );
});

test("every duration is read back from its text exactly", () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: durationMsMax }), (ms) => parseDuration(formatDuration(ms)) === ms),
    { numRuns: 2000 },
  );
});

test("the rounded size is within half a percent of the exact one", () => {
  fc.assert(
    fc.property(byteCounts, (count) => {
      const bytes = Math.floor(count / 1024);
      const read = parseBytes(approximateBytes(bytes));
      expect(Math.abs(read - bytes)).toBeLessThanOrEqual(bytes * 0.006 + 1);
    }),
    { numRuns: 500 },
  );
});

test("any text either parses to a safe whole number or is refused with InvalidArgument", () => {
  const pieces = fc.constantFrom(
    "1",
    "0",
    ".",
    "5",
    "e",
    "E",
    "9",
    "-",
    "+",
    "K",
    "i",
    "B",
    "M",
    "d",
    "h",
    "ms",
    " ",
    "/s",
    "µs",
    "\n",
  );
  const texts = fc.oneof(
    fc.string({ maxLength: 30 }),
    fc.array(pieces, { maxLength: 12 }).map((parts) => parts.join("")),
  );
  fc.assert(
    fc.property(texts, fc.constantFrom(parseBytes, parseDuration, parseRate), (text, parse) => {
      try {
        const value = parse(text);
        expect(Number.isSafeInteger(value) && value >= 0).toBe(true);
      } catch (error) {
        expect(error).toBeInstanceOf(AppError);
        expect((error as AppError).code).toBe("InvalidArgument");
      }
    }),
    { numRuns: 3000 },
  );
});
