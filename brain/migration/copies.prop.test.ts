import { expect, test } from "bun:test";
import fc from "fast-check";
import { copiesOf, isComplete, unsoundness, whyNotLower } from "./copies.ts";
import { replica, volume } from "./testing/samples.ts";
import type { ReplicaView, VolumeView } from "./view.ts";

const replicaStates = fc.record({
  state: fc.constantFrom("Online", "Unknown", "Faulted", "Degraded"),
  child: fc.constantFrom("Online", "Online", "Online", "Degraded", "Faulted", "Unknown", undefined),
  healthy: fc.constantFrom(true, true, false, undefined),
  rebuildPercent: fc.constantFrom(undefined, undefined, undefined, 40),
});

const volumes = fc
  .record({
    states: fc.array(replicaStates, { minLength: 1, maxLength: 5 }),
    extra: fc.integer({ min: -1, max: 1 }),
    operation: fc.constantFrom(undefined, undefined, undefined, "SetReplica"),
    published: fc.boolean(),
  })
  .map(({ states, extra, operation, published }): VolumeView => {
    const replicas = states.map((state, i) => replica(`r${i}`, `hot-${i}`, state));
    const more = published ? {} : { target: undefined, publishedOn: undefined };
    return volume(replicas, { count: replicas.length + extra, operation, ...more });
  });

const weightsFor = (view: VolumeView, worth: number) =>
  new Map(view.replicas.map(({ uuid }, i) => [uuid, i === 0 ? worth : 1]));

test("whatever is read, what is left after a lowering is complete and worth enough", () => {
  fc.assert(
    fc.property(
      volumes,
      fc.nat(4),
      fc.integer({ min: 1, max: 4 }),
      fc.integer({ min: 1, max: 5 }),
      fc.boolean(),
      (view, index, worth, requiredCopies, offline) => {
        const victim = view.replicas[index % view.replicas.length] as ReplicaView;
        const weights = weightsFor(view, worth);
        const why = whyNotLower({ volume: view, victim: victim.uuid, weights, requiredCopies, offline });
        if (why !== undefined) return;
        const left = view.replicas.filter((found) => found !== victim);
        expect(left.every((found) => isComplete(view, found))).toBe(true);
        expect(copiesOf(view, left, weights)).toBeGreaterThanOrEqual(requiredCopies);
        expect(view.replicas.length).toBe(view.count);
        expect(view.operation).toBeUndefined();
        if (isComplete(view, victim)) expect(unsoundness(view, offline)).toBeUndefined();
        if (!offline && isComplete(view, victim)) expect(view.target?.state).toBe("Online");
      },
    ),
    { numRuns: 2_000 },
  );
});

test("a volume at rest with every replica complete may lose exactly what is more than needed", () => {
  const view = volume([replica("a", "hot-1"), replica("b", "hot-2"), replica("c", "cold-3")]);
  const lower = (requiredCopies: number) =>
    whyNotLower({ volume: view, victim: "a", weights: new Map(), requiredCopies, offline: false });
  expect([lower(1), lower(2)]).toEqual([undefined, undefined]);
  expect(lower(3)).toBe("2 copies would be left, 3 are needed");
  expect(whyNotLower({ volume: view, victim: "x", weights: new Map(), requiredCopies: 1, offline: false })).toContain(
    "is not there",
  );
});

test("an incomplete replica may go when all others are complete, and no other may while it is there", () => {
  const filling = replica("c", "cold-3", { child: "Degraded", rebuildPercent: 7, healthy: false });
  const view = volume([replica("a", "hot-1"), replica("b", "hot-2"), filling]);
  const lower = (victim: string) =>
    whyNotLower({ volume: view, victim, weights: new Map(), requiredCopies: 2, offline: false });
  expect(lower("c")).toBeUndefined();
  expect(lower("a")).toContain("replica c is not complete (Online, child Degraded, 7 % rebuilt, not healthy)");
});

test("without a target only the control plane's own word says that a replica is complete", () => {
  const detached = (healthy: boolean | undefined) =>
    volume([replica("a", "hot-1", { child: undefined, healthy })], {
      target: undefined,
      publishedOn: undefined,
      status: "Online",
    });
  expect(unsoundness(detached(true), true)).toBeUndefined();
  expect(unsoundness(detached(true), false)).toBe("the volume is not published");
  expect(unsoundness(detached(undefined), true)).toContain("is not complete");
  expect(unsoundness(detached(false), true)).toContain("not healthy");
});
