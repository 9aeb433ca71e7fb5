import { expect, test } from "bun:test";
import { mkdirSync, writeFileSync } from "node:fs";
import { withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { zonedLimits } from "./zoned-limits.ts";

/** Limits by a sysfs with these files in the device's queue. */
const limits = (files: Record<string, string>) =>
  withTempDir("sysfs", async (root) => {
    mkdirSync(`${root}/dev/block/259:2/queue`, { recursive: true });
    for (const [name, text] of Object.entries(files)) writeFileSync(`${root}/dev/block/259:2/queue/${name}`, text);
    return zonedLimits({ major: 259, minor: 2 }, root);
  });

test("what a zoned namespace says; requests no longer than their memory has pages", async () => {
  const files = { zoned: "host-managed\n", max_active_zones: "12\n", zone_append_max_bytes: "524288\n" };
  expect(await limits({ ...files, max_sectors_kb: "512\n", max_segments: "127\n" })).toEqual({
    model: "host-managed",
    activeZonesMax: 12,
    appendBytesMax: 127 * 4096,
    requestBytesMax: 127 * 4096,
  });
});

test("0 is no limit of zones, and no append; what is missing, empty, huge or no number is unknown", async () => {
  const none = { model: undefined, activeZonesMax: undefined, appendBytesMax: undefined, requestBytesMax: undefined };
  expect(await limits({ max_active_zones: "0\n", zone_append_max_bytes: "0", max_segments: "1" })).toEqual(none);
  expect(await limits({})).toEqual(none);
  expect(
    await limits({ max_active_zones: "", zoned: "x".repeat(1000), max_sectors_kb: "-5", max_segments: "9e9" }),
  ).toEqual(none);
  expect(zonedLimits({ major: 1, minor: 1 }, "/nowhere")).toEqual(none);
});
