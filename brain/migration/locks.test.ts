import { describe, expect, test } from "bun:test";
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { begin, emptyStatus, ended, hold } from "./journal.ts";
import { locksOf, StepLocks } from "./locks.ts";
import { Registry } from "./registry.ts";
import { replica, spec } from "./testing/samples.ts";

const at = "2026-01-01T00:00:00.000Z";
const both = ["placement", "removal"] as const;

describe("one at a time", () => {
  test("who has a lock has it until it is settled; others learn who has it", () => {
    const locks = new StepLocks(20_000);
    expect(locks.take("a", ["placement"])).toBe(true);
    expect(locks.take("a", ["placement"])).toBe(true);
    expect(locks.take("b", both)).toBe(false);
    expect(locks.take("b", ["removal"])).toBe(true);
    expect(locks.standing("c", 0)).toEqual({ placement: { holder: "a" }, removal: { holder: "b" } });
    expect(locks.standing("a", 0)).toEqual({ placement: "mine", removal: { holder: "b" } });
    locks.settle("a", []);
    expect(locks.standing("c", 0).placement).toBe("free");
  });

  test("who has waited longest is next, and is woken; who has stopped waiting is passed over", () => {
    const locks = new StepLocks(20_000);
    locks.take("a", ["placement"]);
    locks.wait("b", ["placement"], 1_000);
    locks.wait("c", ["placement"], 2_000);
    expect(locks.settle("a", [])).toEqual(["b"]);
    expect(locks.standing("c", 3_000).placement).toEqual({ holder: "b" });
    expect(locks.standing("b", 3_000).placement).toBe("mine");
    locks.wait("c", ["placement"], 22_000);
    expect(locks.standing("c", 22_000).placement).toBe("mine");
  });

  test("the journal tells who has which, so that another brain goes on with the same", () => {
    const baseline = { replicas: [], requiredCopies: 1, mover: "PoolCordon" as const, order: "GrowFirst" as const };
    const started: MigrationStatus = { ...emptyStatus, phase: "Preparing", baseline };
    expect(locksOf(started)).toEqual([]);
    const placing = begin(started, "SteerPlacement", {}, at);
    expect(locksOf(placing)).toEqual(["placement"]);
    const added = begin(ended(placing, "Done", at), "AddReplica", {}, at);
    expect(locksOf(added)).toEqual(["placement"]);
    const cordon = { kind: "PoolCordon" as const, target: "p", detail: "replicas" };
    expect(locksOf(hold(ended(added, "Done", at), cordon, "Set"))).toEqual(["placement"]);
    expect(locksOf(begin(ended(added, "Done", at), "WaitForRebuild", {}, at))).toEqual([]);
    const leaving = begin(ended(added, "Done", at), "SteerRemoval", {}, at);
    expect(locksOf(leaving)).toEqual(["removal"]);
    expect(locksOf({ ...leaving, baseline: { ...baseline, mover: "NodeCordon" } })).toEqual([...both]);
  });
});

describe("what others are about", () => {
  const a = replica("a", "hot-1");
  const known = (name: string, status: MigrationStatus, createdAt = at) => ({
    name,
    createdAt,
    spec: spec([a], ["cold-3"]),
    status,
  });

  test("one at work goes before those that wait, and of those the older", () => {
    const registry = new Registry();
    const working: MigrationStatus = { ...emptyStatus, phase: "Copying" };
    registry.put(known("b", emptyStatus));
    registry.put(known("c", emptyStatus, "2025-01-01T00:00:00.000Z"));
    expect(registry.others(known("a", emptyStatus)).sameVolume).toBe("c");
    expect(registry.others(known("c", emptyStatus, "2025-01-01T00:00:00.000Z")).sameVolume).toBeUndefined();
    registry.put(known("d", working, "2026-06-01T00:00:00.000Z"));
    expect(registry.others(known("c", emptyStatus, "2025-01-01T00:00:00.000Z")).sameVolume).toBe("d");
    registry.put(known("d", { ...working, phase: "Finished" }));
    expect(registry.others(known("c", emptyStatus, "2025-01-01T00:00:00.000Z")).sameVolume).toBeUndefined();
  });

  test("room is kept for what is being filled, and nodes that are cordoned are known before reads show them", () => {
    const registry = new Registry();
    const filling = begin({ ...emptyStatus, phase: "Copying" }, "WaitForRebuild", { replica: "n", pool: "cold-3" }, at);
    registry.put(known("b", filling));
    const cordon = { kind: "NodeCordon" as const, target: "node-1", detail: "x" };
    registry.put(known("c", hold(begin(emptyStatus, "SteerPlacement", {}, at), cordon, "Intended")));
    const others = registry.others(known("a", emptyStatus));
    expect(others.copying).toBe(2);
    expect([...others.reservedBytes]).toEqual([["cold-3", 1024 ** 3]]);
    expect([...others.cordonedNodes]).toEqual(["node-1"]);
  });
});
