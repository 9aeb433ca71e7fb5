import { expect, test } from "bun:test";
import { TestBrain, testOptions } from "../sim/test-brain.ts";

test("a run that was scrubbed under a clock a year ahead is scrubbed again when it is due, not in a year", async () => {
  const scrub = { ...testOptions.scrub, everyMs: 3_600_000, lookEveryMs: 1000 };
  const t = await TestBrain.start({ brain: { scrub } });
  try {
    t.clock.jumpWall(365 * 86_400_000);
    await t.importVolume("v1", 1);
    await t.until(() => t.brain.scrubs.totals.stripes === 4, "the first scrub");
    await t.pass(5000);
    expect(t.brain.scrubs.totals.stripes).toBe(4);
    t.clock.jumpWall(-365 * 86_400_000);
    await t.until(() => t.brain.scrubs.totals.stripes === 8, "the second scrub", 10_000);
  } finally {
    await t.close();
  }
});
