import { expect, test } from "bun:test";
import { type MigrationStatus, migrationStatusSchema } from "@couchestor/common/crd/migration.ts";
import fc from "fast-check";
import type { WriteOutcome } from "../mayastor/outcome.ts";
import { copiesOf, isComplete } from "./copies.ts";
import { held, openStep, sameSteering } from "./journal.ts";
import { next } from "./machine.ts";
import { soundRules } from "./rules.ts";
import { migrationSettings } from "./settings.ts";
import { cluster, journal, observation, replica, settled, spec, unsettled, volume } from "./testing/samples.ts";
import type { Decision, Observation } from "./turn.ts";

/** What a hostile world may show next, whatever was done before. */
const glimpse = fc.record({
  /** Mostly it shows what is there, or the migration would never come far. */
  honest: fc.integer({ min: 0, max: 4 }).map((n) => n > 0),
  lands: fc.constantFrom("n@cold-3", "n@cold-3", "m@cold-4", "m@cold-4", "x@hot-4"),
  betrays: fc.integer({ min: 0, max: 5 }).map((n) => n === 0),
  replicas: fc.array(
    fc.record({
      which: fc.constantFrom("a@hot-1", "b@hot-2", "n@cold-3", "m@cold-4", "x@hot-4", "y@hot-3"),
      sick: fc.constantFrom("", "", "", "", "child", "healthy", "rebuilding", "state"),
    }),
    { minLength: 1, maxLength: 4 },
  ),
  countOff: fc.constantFrom(0, 0, 0, 0, 1, -1),
  absent: fc.integer({ min: 0, max: 19 }).map((n) => n === 0),
  settled: fc.boolean(),
  stale: fc.boolean(),
  cordonedNode: fc.constantFrom(undefined, undefined, "node-1", "node-3"),
  outcome: fc.constantFrom<WriteOutcome>(
    { kind: "done", body: {} },
    { kind: "done", body: {} },
    { kind: "unknown", message: "?" },
    { kind: "refused", why: "precondition", message: "no" },
    { kind: "refused", why: "conflict", message: "busy" },
    { kind: "refused", why: "noPool", message: "full" },
    { kind: "refused", why: "notFound", message: "gone" },
  ),
  attempts: fc.integer({ min: 1, max: 6 }),
  minutes: fc.integer({ min: 0, max: 4 }),
  uncertain: fc.constantFrom(undefined, undefined, 10_000),
  abort: fc.integer({ min: 0, max: 29 }).map((n) => n === 0),
});
type Glimpse = typeof glimpse extends fc.Arbitrary<infer T> ? T : never;

const replicaOf = (which: string) => replica(which.split("@")[0] ?? "", which.split("@")[1] ?? "");

/** What becomes of the real volume by a call. */
function carriedOut(real: readonly string[], count: number, victim: string | undefined, shown: Glimpse): string[] {
  if (count > real.length) return [...new Set([...real, shown.lands])];
  const goes = shown.betrays ? real[0] : real.find((which) => which.startsWith(`${victim}@`));
  return real.filter((which) => which !== goes);
}

function seenAs({ replicas, countOff, absent }: Glimpse) {
  if (absent) return "absent" as const;
  const unique = [...new Map(replicas.map((found) => [found.which, found])).values()];
  const views = unique.map(({ which, sick }) => {
    const [uuid = "", pool = ""] = which.split("@");
    return replica(uuid, pool, {
      ...(sick === "child" ? { child: "Faulted" } : {}),
      ...(sick === "healthy" ? { healthy: false } : {}),
      ...(sick === "rebuilding" ? { child: "Degraded", rebuildPercent: 9 } : {}),
      ...(sick === "state" ? { state: "Unknown" } : {}),
    });
  });
  return volume(views, { count: Math.max(1, views.length + countOff) });
}

/** The claims that hold for each decision, whatever was seen. */
function judge(before: MigrationStatus, seen: Observation, decision: Decision): void {
  const { status, call } = decision;
  const parsed = migrationStatusSchema.safeParse(status);
  if (!parsed.success) throw new Error(`${parsed.error.message}: ${JSON.stringify(status)}`);
  expect(status.steps.filter(({ state }) => state === "Intended").length).toBeLessThanOrEqual(1);
  if (status.phase === "Finished") expect([held(status), openStep(status), call]).toEqual([[], undefined, undefined]);
  if (call === undefined) return;
  // What is called for stands in the journal as intended.
  expect(openStep(status)?.number).toBe(call.step);
  const made = call.call;
  if (made.kind !== "SetReplicaCount") {
    expect(held(status).some((item) => sameSteering(item, made.item))).toBe(true);
    if (made.kind === "TakeBackSteering") expect(held(before).some((item) => sameSteering(item, made.item))).toBe(true);
    return;
  }
  expect(openStep(status)?.intent["count"]).toBe(String(made.count));
  if (seen.seen === "absent") throw new Error("a count was set for a volume that isn't there");
  const { seen: view } = seen;
  expect(Math.abs(made.count - view.count)).toBe(1);
  expect(view.count).toBe(before.expectedReplicaCount ?? view.count);
  if (made.count > view.count) return;
  const victim = openStep(status)?.intent["victim"];
  const staying = view.replicas.filter(({ uuid }) => uuid !== victim);
  expect(staying.length).toBe(made.count);
  expect(staying.every((found) => isComplete(view, found))).toBe(true);
  expect(copiesOf(view, staying, new Map())).toBeGreaterThanOrEqual(before.baseline?.requiredCopies ?? 99);
  expect(seen.settle.healthMs).toBeGreaterThanOrEqual(migrationSettings.settleMs);
  expect(seen.cluster?.ageMs).toBe(0);
}

test("in a world that shows anything at any time, nothing unjournaled is done, and nothing is lowered that isn't safe", () => {
  const moves = spec([replica("a", "hot-1"), replica("b", "hot-2")], ["cold-3", "cold-4"]);
  let lowered = 0;
  let ends = 0;
  fc.assert(
    fc.property(fc.array(glimpse, { minLength: 40, maxLength: 90 }), (glimpses) => {
      const machine = { settings: migrationSettings, rules: soundRules };
      let status: MigrationStatus = { phase: "Pending", steps: [] };
      let lastCall: Observation["lastCall"];
      let abort = false;
      let elapsedMs = 0;
      let real = ["a@hot-1", "b@hot-2"];
      for (const [i, shown] of glimpses.entries()) {
        abort ||= shown.abort;
        elapsedMs += shown.minutes * 1_000;
        const { honest, cordonedNode } = shown;
        const seen = honest || i === 0 ? volume(real.map(replicaOf)) : seenAs(shown);
        const nodes = honest || cordonedNode === undefined ? {} : { [cordonedNode]: { cordons: ["else"] } };
        const view = cluster(["hot-1", "hot-2", "hot-3", "hot-4", "cold-3", "cold-4"], { nodes });
        const base = observation(seen, view);
        const taken: Observation = {
          ...base,
          settle: honest || shown.settled ? settled : unsettled,
          cluster: base.cluster && { ...base.cluster, ageMs: !honest && shown.stale ? 900 : 0 },
          lastCall: lastCall && (honest ? lastCall : { ...lastCall, outcome: shown.outcome, attempts: shown.attempts }),
          uncertainMs: shown.uncertain,
          elapsedMs,
          endingMs: elapsedMs,
        };
        const decision = next(journal({ ...moves, abort }, status), taken, machine);
        judge(status, taken, decision);
        if (
          decision.call?.call.kind === "SetReplicaCount" &&
          seen !== "absent" &&
          decision.call.call.count < seen.count
        )
          lowered += 1;
        status = decision.status;
        if (decision.call?.call.kind === "SetReplicaCount")
          real = carriedOut(real, decision.call.call.count, openStep(status)?.intent["victim"], shown);
        if (decision.call !== undefined)
          lastCall = { ...decision.call, outcome: { kind: "done", body: {} }, attempts: 1 };
        if (status.phase === "Finished") {
          ends += 1;
          break;
        }
      }
    }),
    { numRuns: 200 },
  );
  // Otherwise the claims above were never put to the test.
  expect(lowered).toBeGreaterThan(100);
  expect(ends).toBeGreaterThan(100);
}, 180_000);
