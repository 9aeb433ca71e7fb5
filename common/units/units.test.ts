import { expect, test } from "bun:test";
import { z } from "zod";
import { approximateBytes, bytesCodec, formatBytes, parseBytes } from "./bytes.ts";
import { durationCodec, formatDuration, parseDuration } from "./duration.ts";
import { formatRate, parseRate, rateCodec } from "./rate.ts";

test("sizes: Kubernetes quantities, IEC names and plain numbers", () => {
  const expected: Record<string, number> = {
    "0": 0,
    "4096": 4096,
    "4096B": 4096,
    "1k": 1000,
    "1kB": 1000,
    "1Ki": 1024,
    "256MiB": 256 * 2 ** 20,
    "256 MiB": 256 * 2 ** 20,
    "1.5GiB": 1.5 * 2 ** 30,
    "10Gi": 10 * 2 ** 30,
    "10G": 10e9,
    "2TB": 2e12,
    "1E": 1e18 > Number.MAX_SAFE_INTEGER ? -1 : 0,
    "1e3": 1000,
    "1.5e3": 1500,
    "0.1Gi": 107_374_183,
    "7Pi": 7 * 2 ** 50,
  };
  for (const [text, bytes] of Object.entries(expected)) {
    if (bytes < 0) expect(() => parseBytes(text)).toThrow("allowed is at most 9007199254740991 bytes");
    else expect([text, parseBytes(text)]).toEqual([text, bytes]);
  }
});

test("sizes: what is refused says what came and what is allowed", () => {
  for (const text of [
    "",
    "abc",
    "-1",
    "+1",
    "1m",
    "1gib",
    "1KIB",
    "1..5",
    "1 2",
    "0x10",
    "1e",
    "١",
    "1Gi/s",
    "1".repeat(500),
  ]) {
    expect(() => parseBytes(text, "--size")).toThrow(/^--size: got .*, allowed is a number of bytes such as/);
  }
});

test("sizes: text for people and text for machines", () => {
  expect(formatBytes(256 * 2 ** 20)).toBe("256MiB");
  expect(formatBytes(1025)).toBe("1025");
  expect(approximateBytes(0)).toBe("0 B");
  expect(approximateBytes(1.5 * 2 ** 30)).toBe("1.50 GiB");
  expect(approximateBytes(312.4 * 2 ** 20)).toBe("312 MiB");
});

test("durations: Go's syntax plus days", () => {
  const day = 86_400_000;
  const expected: Record<string, number> = {
    "0": 0,
    "7d": 7 * day,
    "2d12h": 2.5 * day,
    "1h30m45s": 5_445_000,
    "1.5h": 5_400_000,
    "500ms": 500,
    ".5s": 500,
    "2000us": 2,
    "3000000ns": 3,
  };
  for (const [text, ms] of Object.entries(expected)) expect([text, parseDuration(text)]).toEqual([text, ms]);
  expect(formatDuration(2.5 * day)).toBe("2d12h");
  expect(formatDuration(0)).toBe("0s");
  expect(formatDuration(61_001)).toBe("1m1s1ms");
});

test("durations: what is refused says what came and what is allowed", () => {
  for (const text of ["", "5", "-1s", "1w", "1 h", "h", "1h-1m", "s1", "1e3s", "∞"]) {
    expect(() => parseDuration(text, "repairAfter")).toThrow(/^repairAfter: got .*, allowed is a duration such as/);
  }
  expect(() => parseDuration("1us")).toThrow("allowed is a whole number of milliseconds");
  expect(() => parseDuration("36501d")).toThrow("allowed is at most 36500d");
});

test("rates", () => {
  expect(parseRate("200MiB/s")).toBe(200 * 2 ** 20);
  expect(parseRate("1G/s")).toBe(1e9);
  expect(formatRate(200 * 2 ** 20)).toBe("200MiB/s");
  expect(formatRate(1500)).toBe("1500B/s");
  for (const text of ["200MiB", "0/s", "/s", "1/m", "fast"])
    expect(() => parseRate(text, "rate")).toThrow(/^rate: got/);
});

test("codecs read text within limits, write it back, and name both when they refuse", () => {
  const size = bytesCodec({ minBytes: 4096, maxBytes: 2 ** 30, multipleOfBytes: 4096 });
  expect(z.decode(size, "1Mi")).toBe(2 ** 20);
  expect(z.decode(size, 8192)).toBe(8192);
  expect(z.encode(size, 2 ** 20)).toBe("1MiB");
  expect(size.safeParse("1KiB").error?.issues[0]?.message).toBe("allowed is at least 4KiB");
  expect(size.safeParse("2GiB").error?.issues[0]?.message).toBe("allowed is at most 1GiB");
  expect(size.safeParse("5000").error?.issues[0]?.message).toBe("allowed is a multiple of 4KiB");
  expect(size.safeParse(1.5).success).toBe(false);
  expect(size.safeParse(-1).success).toBe(false);
  const wait = durationCodec({ minMs: 1000, maxMs: 60_000 });
  expect(z.decode(wait, "45s")).toBe(45_000);
  expect(wait.safeParse("1ms").error?.issues[0]?.message).toBe("allowed is at least 1s");
  expect(wait.safeParse("2m").error?.issues[0]?.message).toBe("allowed is at most 1m");
  expect(rateCodec({ maxBytes: 1000 }).safeParse("1M/s").error?.issues[0]?.message).toBe("allowed is at most 1000");
  expect(z.encode(rateCodec(), 2 ** 20)).toBe("1MiB/s");
});
