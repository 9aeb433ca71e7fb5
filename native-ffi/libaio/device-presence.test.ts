import { expect, test } from "bun:test";
import { statSync } from "node:fs";
import { blockDeviceNumber } from "./device-presence.ts";

/** makedev of <sys/sysmacros.h>. */
const numberOf = (major: number, minor: number): number =>
  (minor & 0xff) + (major & 0xfff) * 2 ** 8 + Math.floor(minor / 256) * 2 ** 20 + Math.floor(major / 4096) * 2 ** 44;

test("a device's number is taken apart as the C library puts it together", () => {
  expect(blockDeviceNumber(statSync("/dev/null").rdev)).toEqual({ major: 1, minor: 3 });
  for (const [major, minor] of [
    [8, 0],
    [259, 7],
    [259, 300],
    [253, 1_048_575],
    [4100, 70_000],
  ] as const)
    expect(blockDeviceNumber(numberOf(major, minor))).toEqual({ major, minor });
});
