import { describe, expect, test } from "bun:test";
import type { SmartReading } from "../smart/reading.ts";
import { type Finding, poolFindings, smartFindings } from "./findings.ts";
import { GrowthWatch } from "./growth.ts";
import { ioBetween, parseIoStat } from "./io-stat.ts";
import { type LatencySample, SlownessWatch, slowDevices } from "./latency.ts";
import { healthLimits as limits } from "./limits.ts";
import { afterLook, type Memory, verdictOf } from "./verdict.ts";

const reading = (fields: Partial<SmartReading>): SmartReading => ({
  protocol: "nvme",
  warnings: [],
  notReported: [],
  problems: [],
  ...fields,
});
const found = (fields: Partial<SmartReading>, growth = {}): string[] =>
  smartFindings(reading(fields), growth, limits).map(({ code, level }) => `${code} ${level}`);

describe("findings", () => {
  test("each figure has its limits, and one that is not reported says nothing", () => {
    expect(found({})).toEqual([]);
    expect(found({ passed: true, wearRatio: 0.89, spareRatio: 1, spareThresholdRatio: 0.1, mediaErrors: 5 })).toEqual(
      [],
    );
    expect(found({ wearRatio: 0.9 })).toEqual(["wear wearing"]);
    expect(found({ wearRatio: 1 })).toEqual(["wear wearing"]);
    expect(found({ wearRatio: 1.2 })).toEqual(["wear failing"]);
    expect(found({ spareRatio: 0.09, spareThresholdRatio: 0.1 })).toEqual(["spare failing"]);
    expect(found({ spareRatio: 0.1, spareThresholdRatio: 0.1 })).toEqual(["spare wearing"]);
    expect(found({ spareRatio: 0.21, spareThresholdRatio: 0.1 })).toEqual([]);
    expect(found({ reallocatedSectors: 1, pendingSectors: 1 })).toEqual(["reallocated wearing", "pending wearing"]);
    expect(found({ reallocatedSectors: 500, pendingSectors: 20 })).toEqual(["reallocated failing", "pending failing"]);
    expect(found({ mediaErrors: 1000 }, { mediaErrors: 1 })).toEqual(["media-errors wearing"]);
    expect(found({ mediaErrors: 1000 }, { mediaErrors: 10 })).toEqual(["media-errors failing"]);
    expect(found({ reallocatedSectors: 30 }, { reallocatedSectors: 20 })).toEqual([
      "reallocated wearing",
      "reallocating failing",
    ]);
  });
  test("a spare of 0 with a threshold of 0, as virtual controllers have it, is no alarm", () => {
    expect(found({ passed: true, spareRatio: 0, spareThresholdRatio: 0, wearRatio: 0 })).toEqual([]);
  });
  test("a device's own verdict counts; heat alone condemns nothing", () => {
    expect(found({ passed: false })).toEqual(["device-status failing"]);
    const hot = { code: "temperature", text: "the temperature is beyond its limits", level: "wearing" } as const;
    expect(found({ passed: false, warnings: [hot] })).toEqual(["device-temperature wearing", "device-status wearing"]);
    const readOnly = { code: "read-only", text: "the medium has become read-only", level: "failing" } as const;
    expect(found({ passed: false, warnings: [readOnly] })).toEqual(["device-read-only failing"]);
  });
  test("a pool that stopped writing, and operations that fail", () => {
    const codes = (state: "Online" | "Full" | "ReadOnly" | "Failed", ioErrors?: number) =>
      poolFindings({ poolName: "p", state, reason: "EIO" }, ioErrors === undefined ? {} : { ioErrors }, limits).map(
        ({ code, level }) => `${code} ${level}`,
      );
    expect(codes("Online", 0)).toEqual([]);
    expect(codes("Full")).toEqual([]);
    expect(codes("ReadOnly")).toEqual(["pool-stopped failing"]);
    expect(codes("Failed")).toEqual(["pool-stopped wearing"]);
    expect(codes("Online", 1)).toEqual(["io-errors wearing"]);
    expect(codes("Online", 5)).toEqual(["io-errors failing"]);
  });
});

describe("hysteresis", () => {
  const finding = (level: "wearing" | "failing", isCertain: boolean): Finding => ({
    code: "x",
    level,
    text: level,
    isCertain,
  });
  const run = (looks: { at: number; findings: Finding[] }[]): string[] => {
    let memory: Memory = new Map();
    return looks.map(({ at, findings }) => {
      memory = afterLook(memory, findings, at, limits);
      return verdictOf([memory]).state;
    });
  };
  const minute = 60_000;
  test("what is certain counts at once and goes only after its time", () => {
    const clear = [1, 30, 59, 60, 61].map((at) => ({ at: at * minute, findings: [] }));
    expect(run([{ at: 0, findings: [finding("failing", true)] }, ...clear])).toEqual([
      "Failing",
      "Failing",
      "Failing",
      "Failing",
      "Healthy",
      "Healthy",
    ]);
  });
  test("what may be noise counts when it is seen three times in a row", () => {
    const noise = finding("wearing", false);
    const looks = [[noise], [noise], [], [noise], [noise], [noise], [noise]];
    expect(run(looks.map((findings, i) => ({ at: i * minute, findings })))).toEqual([
      "Healthy",
      "Healthy",
      "Healthy",
      "Healthy",
      "Healthy",
      "Wearing",
      "Wearing",
    ]);
  });
  test("a finding that gets milder stays grave for its time, and one that comes and goes does not flap", () => {
    const milder = Array.from({ length: 7 }, (_, i) => ({
      at: (i + 1) * 10 * minute,
      findings: [finding("wearing", true)],
    }));
    expect(run([{ at: 0, findings: [finding("failing", true)] }, ...milder])).toEqual([
      ...Array.from({ length: 6 }, () => "Failing"),
      "Wearing",
      "Wearing",
    ]);
    const flicker = Array.from({ length: 20 }, (_, i) => ({
      at: i * minute,
      findings: i % 2 === 0 ? [finding("failing", true)] : [],
    }));
    expect(new Set(run(flicker))).toEqual(new Set(["Failing"]));
  });
});

test("growth is that of the last day; what was there before the first look, and a reset, are none", () => {
  const watch = new GrowthWatch();
  const hour = 3_600_000;
  expect(watch.growth).toBeUndefined();
  const after = (value: number, hours: number): number | undefined => {
    watch.note(value, hours * hour);
    return watch.growth;
  };
  expect(after(1000, 0)).toBe(0);
  expect(after(1003, 0.5)).toBe(3);
  for (let h = 1; h <= 23; h++) after(1003, h);
  expect(after(1004, 24)).toBe(4);
  expect(after(1004, 26)).toBe(1);
  expect(after(1004, 49)).toBe(0);
  expect(after(2, 50)).toBe(0);
  watch.note(undefined, 51 * hour);
  expect(watch.growth).toBe(0);
});

describe("latency", () => {
  const line = (fields: number[]): string => `${fields.map((n) => String(n).padStart(8)).join(" ")}\n`;
  test("the kernel's line is read; an empty, short or strange one is not", () => {
    const stat = parseIoStat(line([10, 0, 80, 50, 4, 0, 32, 70, 3, 100, 120, 6, 0, 0, 0, 2, 0]));
    expect(stat).toEqual({ reads: 10, readMs: 50, writes: 4, writeMs: 70, others: 8, inFlight: 3 });
    for (const text of [undefined, "", "\n", "1 2 3", line([1, 2, 3, -4, 5, 6, 7, 8, 9, 10, 11]), "a ".repeat(11)])
      expect(parseIoStat(text)).toBeUndefined();
    const zero = { reads: 0, readMs: 0, writes: 0, writeMs: 0, others: 0, inFlight: 0 };
    expect(ioBetween(zero, stat ?? zero)).toEqual({ operations: 14, meanMs: 120 / 14, finished: 22 });
    expect(ioBetween(stat ?? zero, zero)).toBeUndefined();
    expect(ioBetween(zero, zero)).toEqual({ operations: 0, meanMs: undefined, finished: 0 });
  });
  const sample = (id: string, meanMs: number | undefined, operations = 100, rotational = false): LatencySample => ({
    id,
    meanMs,
    operations,
    rotational,
  });
  test("a disk is slow by comparison with its peers, not because all are; few operations say nothing", () => {
    const slow = (...samples: LatencySample[]): string[] => [...slowDevices(samples).slow.keys()];
    expect(slow(sample("a", 40), sample("b", 2), sample("c", 3))).toEqual(["a"]);
    expect(slow(sample("a", 40), sample("b", 38), sample("c", 45))).toEqual([]);
    expect(slow(sample("a", 15), sample("b", 0.1), sample("c", 0.1))).toEqual([]);
    expect(slow(sample("a", 40), sample("b", 2))).toEqual([]);
    expect(slow(sample("a", 40), sample("b", 2, 100, true), sample("c", 2, 100, true))).toEqual([]);
    expect(slow(sample("a", 1500))).toEqual(["a"]);
    expect(slow(sample("a", 1500, 100, true))).toEqual([]);
    expect([...slowDevices([sample("a", 4000, 3), sample("b", undefined, 0)]).idle]).toEqual(["a", "b"]);
  });
  test("one slow interval is nothing; a minute and more is wearing; a quarter of an hour is failing", () => {
    const watch = new SlownessWatch();
    for (let i = 0; i < 7; i++) watch.note(true);
    expect(watch.level).toBeUndefined();
    watch.note(true);
    expect(watch.level).toBe("wearing");
    for (let i = 0; i < 72; i++) watch.note(true);
    expect(watch.level).toBe("wearing");
    watch.note(true);
    expect(watch.level).toBe("failing");
    for (let i = 0; i < 40; i++) watch.note(false);
    expect(watch.level).toBeUndefined();
  });
});
