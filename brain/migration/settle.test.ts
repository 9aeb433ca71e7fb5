import { describe, expect, test } from "bun:test";
import { soundRules } from "./rules.ts";
import { migrationSettings } from "./settings.ts";
import { SettleTracker } from "./settle.ts";
import { replica, volume } from "./testing/samples.ts";

const a = replica("a", "hot-1");
const b = replica("b", "hot-2");

describe("for how long reads have been equal", () => {
  test("counts from the first of them to the last, and how many there were", () => {
    const tracker = new SettleTracker();
    for (const atMs of [1_000, 6_000, 11_000]) tracker.observe(volume([a]), atMs);
    expect(tracker.observe(volume([a]), 40_000)).toEqual({
      shapeMs: 39_000,
      shapeReads: 4,
      healthMs: 39_000,
      healthReads: 4,
      countMs: 39_000,
      countReads: 4,
    });
  });

  test("begins anew with another replica, place, number or operation; with another state for health alone", () => {
    const first = volume([a, b]);
    const shape = [
      volume([a]),
      volume([a, replica("c", "hot-2")]),
      volume([a, replica("b", "hot-3")]),
      volume([a, b], { count: 3 }),
      volume([a, b], { operation: "SetReplica" }),
      volume([a, b], { specStatus: "Deleting" }),
      "absent" as const,
    ];
    for (const second of shape) {
      const tracker = new SettleTracker();
      tracker.observe(first, 0);
      expect(tracker.observe(second, 9_000)).toMatchObject({ shapeMs: 0, shapeReads: 1, healthMs: 0 });
    }
    const health = [
      volume([a, { ...b, state: "Unknown" }]),
      volume([a, { ...b, child: "Faulted" }]),
      volume([a, { ...b, healthy: false }]),
      volume([a, { ...b, rebuildPercent: 3 }]),
      volume([a, b], { status: "Degraded" }),
      volume([a, b], { target: undefined }),
      volume([a, b], { publishedOn: "node-2" }),
    ];
    for (const second of health) {
      const tracker = new SettleTracker();
      tracker.observe(first, 0);
      expect(tracker.observe(second, 9_000)).toMatchObject({ shapeMs: 9_000, healthMs: 0, healthReads: 1 });
    }
  });

  test("a rebuild's progress is no change", () => {
    const tracker = new SettleTracker();
    tracker.observe(volume([a, { ...b, child: "Degraded", rebuildPercent: 3 }]), 0);
    const later = tracker.observe(volume([a, { ...b, child: "Degraded", rebuildPercent: 80 }]), 9_000);
    expect(later).toMatchObject({ healthMs: 9_000 });
  });

  test("doesn't count the time around a read that failed: what happened then nobody saw", () => {
    const tracker = new SettleTracker();
    tracker.observe(volume([a]), 0);
    tracker.observe(volume([a]), 5_000);
    tracker.missed();
    expect(tracker.observe(volume([a]), 60_000).shapeMs).toBe(5_000);
    expect(tracker.observe(volume([a]), 65_000).shapeMs).toBe(10_000);
  });

  test("begins anew after something was asked for", () => {
    const tracker = new SettleTracker();
    tracker.observe(volume([a]), 0);
    tracker.observe(volume([a]), 60_000);
    tracker.reset();
    expect(tracker.observe(volume([a]), 61_000)).toMatchObject({ shapeMs: 0, shapeReads: 1 });
  });

  test("what came of a call is known by the number of replicas alone, after much longer, where the server exchanges them again and again", () => {
    const tracker = new SettleTracker();
    const look = (n: number) => tracker.observe(volume([a, replica(`r${n}`, "hot-2")]), n * 20_000);
    let settle = look(0);
    for (let n = 1; n <= 8; n++) settle = look(n);
    expect(soundRules.settled(settle, "outcome", migrationSettings)).toBe(false);
    for (let n = 9; n <= 10; n++) settle = look(n);
    expect(soundRules.settled(settle, "outcome", migrationSettings)).toBe(true);
    expect(soundRules.settled(settle, "shape", migrationSettings)).toBe(false);
  });
});
