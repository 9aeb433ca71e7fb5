import { expect, test } from "bun:test";
import { RateBudget } from "./rate.ts";
import { retryBlock, retryMs, retryMsMax, supersededRetryMs } from "./retry.ts";
import { sampleNowMs } from "./testing/decision-samples.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";

const mib = 1024 * 1024;

test("the next migration begins when those before it would be through at the rate, whatever their order", () => {
  const begun = (agoMs: number, bytes: number) =>
    sampleMigration(`m${agoMs}`, { createdMs: sampleNowMs - agoMs, bytes });
  const all = [begun(1_000, 100 * mib), begun(60_000, 600 * mib), begun(5_000, 0)];
  // 600 MiB take a minute and 100 MiB ten seconds: they end 10 s from now, as the second began when the first was not through.
  const budget = new RateBudget(10 * mib, all);
  expect(budget.freeAtMs).toBe(sampleNowMs + 10_000);
  budget.take(50 * mib, sampleNowMs + 10_000);
  expect(budget.freeAtMs).toBe(sampleNowMs + 15_000);
  expect(new RateBudget(undefined, all).freeAtMs).toBe(0);
});

test("a volume that failed is tried again after ten minutes, and each time after twice as long", () => {
  const failed = (n: number, result = "Failed") => sampleMigration(`m${n}`, { end: sampleEnd(result, n * 1_000) });
  const block = (count: number) =>
    retryBlock(
      Array.from({ length: count }, (_, n) => failed(n)),
      sampleNowMs,
    );
  expect(block(1)?.notBeforeMs).toBe(sampleNowMs + retryMs);
  expect(block(2)?.notBeforeMs).toBe(sampleNowMs + 2 * retryMs);
  expect(block(40)?.notBeforeMs).toBe(sampleNowMs + retryMsMax);
  expect(retryBlock([failed(0)], sampleNowMs + retryMs)).toBeUndefined();
  expect(retryBlock([failed(0, "Succeeded"), failed(1), failed(2)], sampleNowMs)).toBeUndefined();
  expect(retryBlock([failed(0, "Superseded")], sampleNowMs)?.notBeforeMs).toBe(sampleNowMs + supersededRetryMs);
  // Its policy's window closed: no fault of the volume.
  const held = sampleMigration("m9", { end: sampleEnd("Superseded", 0, { reason: "OutsideWindow" }) });
  expect(retryBlock([held], sampleNowMs)).toBeUndefined();
  expect(retryBlock([held, failed(1), failed(2)], sampleNowMs)).toEqual(
    retryBlock([failed(1), failed(2)], sampleNowMs),
  );
  expect(retryBlock([failed(0, "Aborted")], sampleNowMs)?.message).toContain("m0) ended with Aborted");
});
