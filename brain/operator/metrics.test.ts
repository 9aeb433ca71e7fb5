import { expect, test } from "bun:test";
import { OperatorMetrics } from "./metrics.ts";

test("what has not been read yet is no figure: neither 0 Migrations under way nor 0 ECStripes", async () => {
  let read = false;
  const metrics = new OperatorMetrics({
    isLeader: () => true,
    caches: () => [],
    queues: () => [],
    activeMigrations: () => (read ? 0 : undefined),
    stripes: () => (read ? { Healthy: 3 } : undefined),
    report: () => undefined,
    droppedEvents: () => 0,
  });
  const figures = async () =>
    (await metrics.registry.metrics())
      .split("\n")
      .filter((line) => /^storage_operator_(active_migrations|ec_stripes_total)/.test(line))
      .map((line) => line.replace(/role="brain"(,?)/, ""));
  expect(await figures()).toEqual([]);
  read = true;
  expect((await figures()).length).toBe(2);
});
