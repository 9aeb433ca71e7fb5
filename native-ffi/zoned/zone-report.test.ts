import { expect, test } from "bun:test";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { parseZoneReport } from "./zone-report.ts";

/** What Linux 6.1 answered to BLKREPORTZONE: of a zoned namespace of QEMU 7.2, and of a null_blk whose first two zones are conventional. */
const golden = (name: string): Uint8Array =>
  Uint8Array.from(
    Buffer.from(
      readFileSync(join(import.meta.dir, `testdata/report-${name}.hex`), "utf8").replaceAll(/\s/g, ""),
      "hex",
    ),
  );
const mebibyte = 2 ** 20;

test("a zoned namespace's report: less capacity than length, and where each write pointer is", () => {
  const zones = parseZoneReport(golden("zns"), "/dev/x");
  const shape = { lengthBytes: 16 * mebibyte, capacityBytes: 12 * mebibyte };
  expect(zones).toEqual([
    { ...shape, state: "empty", startBytes: 0, writtenBytes: 0 },
    { ...shape, state: "active", startBytes: 16 * mebibyte, writtenBytes: 12_288 },
    { ...shape, state: "full", startBytes: 32 * mebibyte, writtenBytes: 12 * mebibyte },
    { ...shape, state: "empty", startBytes: 48 * mebibyte, writtenBytes: 0 },
    { ...shape, state: "empty", startBytes: 64 * mebibyte, writtenBytes: 0 },
  ]);
});

test("conventional zones are told apart", () => {
  const zones = parseZoneReport(golden("null-blk"), "/dev/x");
  expect(zones.map(({ state }) => state)).toEqual(["conventional", "conventional", "empty", "active", "full", "empty"]);
  expect(zones[3]).toMatchObject({ startBytes: 12 * mebibyte, capacityBytes: 4 * mebibyte, writtenBytes: 12_288 });
});

test("without the flag for capacity, as before Linux 5.9, all of a zone's length can be written", () => {
  const bytes = golden("zns");
  bytes[12] = 0;
  expect(parseZoneReport(bytes, "/dev/x")[0]?.capacityBytes).toBe(16 * mebibyte);
});

test("each condition that the kernel knows has a state; one that it doesn't, or numbers that can't be, are errors", () => {
  const withCondition = (condition: number) => {
    const bytes = golden("zns");
    bytes[16 + 64 + 25] = condition;
    return () => parseZoneReport(bytes, "/dev/x")[1]?.state;
  };
  expect([1, 2, 3, 4, 13, 14, 15, 255].map((condition) => withCondition(condition)())).toEqual([
    "empty",
    "active",
    "active",
    "active",
    "read-only",
    "full",
    "offline",
    "active",
  ]);
  expect(withCondition(7)).toThrow("condition 7 of zone 1 is not known");
  const changed = (at: number, value: number) => () => {
    const bytes = golden("zns");
    bytes[16 + 64 + at] = value;
    return parseZoneReport(bytes, "/dev/x");
  };
  expect(changed(16 + 7, 1)).toThrow("report zones"); // a write pointer beyond the zone
  expect(changed(0 + 2, 9)).toThrow("report zones"); // one before it
  expect(changed(32 + 7, 1)).toThrow("report zones"); // more capacity than length
});

test("a report that says it has more zones than bytes is an error", () => {
  expect(() => parseZoneReport(golden("zns").subarray(0, 200), "/dev/x")).toThrow("5 in 200 bytes");
});
