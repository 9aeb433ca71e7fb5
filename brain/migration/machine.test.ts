import { describe, expect, test } from "bun:test";
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import type { WriteOutcome } from "../mayastor/outcome.ts";
import type { Call } from "./calls.ts";
import { begin, ended, hold, openStep } from "./journal.ts";
import { next } from "./machine.ts";
import { Memory } from "./memory.ts";
import { soundRules } from "./rules.ts";
import { migrationSettings } from "./settings.ts";
import { cluster, journal, observation, replica, settled, spec, unsettled, volume } from "./testing/samples.ts";
import type { Observation } from "./turn.ts";

const at = "2026-01-01T00:00:00.000Z";
const a = replica("a", "hot-1");
const b = replica("b", "hot-2");
const n = replica("n", "cold-3");
const pools = ["hot-1", "hot-2", "hot-4", "cold-3"];
const view = cluster(pools);
const whole = spec([a], ["cold-3"]);
const machine = { settings: migrationSettings, rules: soundRules };
const baseline = {
  replicas: [{ replicaUuid: "a", pool: "hot-1" }],
  requiredCopies: 1,
  mover: "PoolCordon" as const,
  order: "GrowFirst" as const,
};
const started: MigrationStatus = { phase: "Preparing", steps: [], baseline, expectedReplicaCount: 1 };
const hot4 = { kind: "PoolCordon" as const, target: "hot-4", detail: "replicas" };
const hot2 = { ...hot4, target: "hot-2" };

const run = (status: MigrationStatus, seen: Observation["seen"], more: Partial<Observation> = {}, of = whole) =>
  next(journal(of, status), observation(seen, view, more), machine);
const lastCall = (step: number, call: Call, outcome: WriteOutcome, attempts = 1) => ({ step, call, outcome, attempts });
const done: WriteOutcome = { kind: "done", body: {} };
const unknown: WriteOutcome = { kind: "unknown", message: "no answer" };
const refused = (why: "already" | "conflict" | "notFound" | "noPool" | "precondition" | "noRoute"): WriteOutcome => ({
  kind: "refused",
  why,
  message: why,
});

describe("before anything is done", () => {
  test("the first call is a cordon that the journal holds as intended, and the lock comes with it", () => {
    const decision = next(journal(whole), observation(volume([a]), view), machine);
    expect(decision.call?.call).toEqual({ kind: "SetSteering", item: hot2 });
    expect(decision.status.heldSteering).toEqual([{ ...hot2, state: "Intended" }]);
    expect(decision.take).toEqual(["placement"]);
    expect(decision.status.steps.map(({ name, state }) => `${name} ${state}`)).toEqual([
      "Preflight Done",
      "SteerPlacement Intended",
    ]);
  });

  test("called off or deleted, it ends without a call", () => {
    const off = next(journal({ ...whole, abort: true }), observation(volume([a]), view), machine);
    const gone = next(journal(whole, {}, { deleting: true }), observation(volume([a]), view), machine);
    expect([off.status.outcome?.reason, gone.status.outcome?.reason]).toEqual(["Aborted", "Deleted"]);
    expect([off.call, gone.call]).toEqual([undefined, undefined]);
  });

  test("what can't begin now ends after its time, and says why", () => {
    const rebuilding = volume([{ ...a, child: "Degraded", rebuildPercent: 1 }]);
    const pending = (pendingMs: number) => next(journal(whole), observation(rebuilding, view, { pendingMs }), machine);
    expect(pending(0).status.phase).toBe("Pending");
    expect(pending(migrationSettings.preflightMsMax).status.outcome).toMatchObject({
      result: "Failed",
      reason: "VolumeNotReady",
    });
  });

  test("the time for a volume that isn't ready doesn't go by while it waits for others", () => {
    const others = { ...observation("absent", view).others, sameVolume: "older" };
    const pendingMs = 10 * migrationSettings.preflightMsMax;
    const decision = next(journal(whole), observation(volume([a]), view, { others, pendingMs }), machine);
    expect([decision.status.phase, decision.busy]).toEqual(["Pending", true]);
    const memory = new Memory(decision.status, 0);
    memory.pendingAnew(400_000);
    expect(memory.pendingMs(401_000)).toBe(1_000);
  });

  test("another one's lock is waited for", () => {
    const locks = { placement: { holder: "other" }, removal: "free" } as const;
    const decision = run(started, volume([a]), { locks });
    expect([decision.wants, decision.call]).toEqual([["placement"], undefined]);
    expect(decision.status.message).toContain("waits for migration other");
  });
});

describe("steering", () => {
  const steering = hold(begin(started, "SteerPlacement", { count: "2", label: "l" }, at, 1), hot2, "Intended");

  test("done: the next one; when all are set, the replica", () => {
    const first = run(steering, volume([a]), { lastCall: lastCall(1, { kind: "SetSteering", item: hot2 }, done) });
    expect(first.call?.call).toEqual({ kind: "SetSteering", item: hot4 });
    const second = run(first.status, volume([a]), { lastCall: lastCall(1, { kind: "SetSteering", item: hot4 }, done) });
    expect(second.call?.call).toEqual({ kind: "SetReplicaCount", volume: whole.volumeUuid, count: 2 });
    expect(openStep(second.status)).toMatchObject({
      name: "AddReplica",
      attempts: 1,
      intent: { before: "a", count: "2" },
    });
  });

  test("the replica is asked for on reads that are newer than the last cordon only", () => {
    const all = hold(hold(steering, hot2, "Set"), hot4, "Set");
    const { cluster: known } = observation(volume([a]), view);
    const old = run(all, volume([a]), { cluster: known && { ...known, ageMs: 400 } });
    expect([old.fresh, old.call, old.waitMs]).toEqual([true, undefined, 0]);
  });

  test("refused as already so: somebody else's on the first attempt, ours after one whose end isn't known", () => {
    const call: Call = { kind: "SetSteering", item: hot2 };
    const foreign = run(steering, volume([a]), { lastCall: lastCall(1, call, refused("already")) });
    expect(foreign.status.heldSteering).toEqual([{ ...hot4, state: "Intended" }]);
    expect(openStep(foreign.status)?.observed).toEqual({ leftAlone: "hot-2" });
    const ours = run(steering, volume([a]), { lastCall: lastCall(1, call, refused("already"), 2) });
    expect(ours.status.heldSteering).toContainEqual({ ...hot2, state: "Set" });
  });

  test("not known: once more, and after some attempts everything is taken back", () => {
    const call: Call = { kind: "SetSteering", item: hot2 };
    expect(run(steering, volume([a]), { lastCall: lastCall(1, call, unknown) }).call?.call).toEqual(call);
    const last = run(steering, volume([a]), { lastCall: lastCall(1, call, unknown, 5) });
    expect(last.status.steps.at(-1)).toMatchObject({ state: "Failed" });
    expect([last.status.failures, last.status.heldSteering?.length]).toEqual([1, 1]);
  });

  test("a pool that is cordoned by others is not ours to cordon", () => {
    const cordoned = cluster(pools, { pools: { "hot-2": { cordoned: true } } });
    const decision = next(journal(whole, started), observation(volume([a]), cordoned), machine);
    expect(decision.call?.call).toEqual({ kind: "SetSteering", item: hot4 });
  });

  test("a volume that has changed on the way is looked at anew, with what was set taken back first", () => {
    const all = hold(hold(steering, hot2, "Set"), hot4, "Set");
    const degraded = volume([{ ...a, child: "Degraded", rebuildPercent: 1 }]);
    const failed = run(all, degraded);
    expect(failed.status.steps.at(-1)).toMatchObject({ name: "SteerPlacement", state: "Failed" });
    const back = run(failed.status, degraded);
    expect(back.call?.call).toEqual({ kind: "TakeBackSteering", item: hot2 });
  });
});

describe("what came of the replica", () => {
  const adding = begin(started, "AddReplica", { count: "2", before: "a" }, at, 1);
  const call: Call = { kind: "SetReplicaCount", volume: whole.volumeUuid, count: 2 };

  test("is not believed before reads were equal for long enough, whatever was answered", () => {
    for (const outcome of [done, unknown, refused("noPool")]) {
      const decision = run(adding, volume([a, n]), { settle: unsettled, lastCall: lastCall(1, call, outcome) });
      expect([decision.call, openStep(decision.status)?.name]).toEqual([undefined, "AddReplica"]);
    }
  });

  test("it came although nobody said so: followed by its uuid and its pool", () => {
    const decision = run(adding, volume([a, n]), { lastCall: lastCall(1, call, unknown) });
    expect(decision.status.steps.at(-1)).toMatchObject({ state: "Done", observed: { replica: "n", pool: "cold-3" } });
    expect(decision.status.expectedReplicaCount).toBe(2);
  });

  test("it came to a pool that was not wanted: not ours to follow", () => {
    const decision = run(adding, volume([a, replica("x", "hot-4")]), { lastCall: lastCall(1, call, done) });
    expect(decision.status.steps.at(-1)).toMatchObject({ state: "Failed" });
    expect(decision.status.failures).toBe(1);
  });

  test("it never came: asked for again, unless that can't help", () => {
    expect(run(adding, volume([a]), { lastCall: lastCall(1, call, unknown) }).call?.call).toEqual(call);
    expect(run(adding, volume([a])).call?.call).toEqual(call);
    const full = run(adding, volume([a]), { lastCall: lastCall(1, call, refused("noPool")) });
    expect([full.call, full.status.steps.at(-1)?.state]).toEqual([undefined, "Failed"]);
  });

  test("it is asked for again on reads of pools and nodes that are newer than the call only", () => {
    const { cluster: known } = observation(volume([a]), view);
    const old = run(adding, volume([a]), { cluster: known && { ...known, ageMs: 400 } });
    expect([old.fresh, old.call, old.waitMs]).toEqual([true, undefined, 0]);
    expect(openStep(old.status)?.attempts).toBe(1);
  });

  test("our only attempt was refused, and yet there is one more: somebody else wants it so, and it is left to them", () => {
    const decision = run(adding, volume([a, n]), { lastCall: lastCall(1, call, refused("precondition")) });
    expect(decision.status.ending).toMatchObject({ result: "Superseded", reason: "ReplicaCountChanged" });
    const end = run(decision.status, volume([a, n]));
    expect(end.status).toMatchObject({ phase: "Finished", outcome: { reason: "ReplicaCountChanged" } });
  });

  test("called off meanwhile, it is not asked for again", () => {
    const off = { ...whole, abort: true };
    const decision = run(adding, volume([a]), { lastCall: lastCall(1, call, unknown) }, off);
    expect([decision.call, decision.status.steps.at(-1)?.state]).toEqual([undefined, "Skipped"]);
  });
});

describe("the old replica", () => {
  const two: MigrationStatus = { ...started, expectedReplicaCount: 2 };
  const followed = ended(begin(two, "WaitForRebuild", { replica: "n", pool: "cold-3" }, at), "Done", at);

  test("goes only after equal reads of complete health", () => {
    const healthUnsettled = { ...settled, healthMs: 30_000 };
    expect(run(followed, volume([a, n]), { settle: healthUnsettled }).call).toBeUndefined();
    const decision = run(followed, volume([a, n]));
    expect(decision.call?.call).toMatchObject({ kind: "SetSteering", item: { kind: "NodeCordon", target: "node-1" } });
    expect(openStep(decision.status)).toMatchObject({ name: "SteerRemoval", intent: { victim: "a", count: "1" } });
  });

  test("stays while another node is cordoned, since another replica might go then", () => {
    const cordoned = cluster(pools, { nodes: { "node-3": { cordons: ["maintenance"] } } });
    const decision = next(journal(whole, followed), observation(volume([a, n]), cordoned), machine);
    expect(decision.call).toBeUndefined();
    expect(decision.status.message).toContain("the control plane might take a or n");
  });

  test("stays when its copy is not proven by the record of its rebuild", () => {
    const open = begin(two, "WaitForRebuild", { replica: "n", pool: "cold-3" }, at);
    expect(openStep(run(open, volume([a, n]), { rebuildProven: false }).status)?.name).toBe("WaitForRebuild");
    expect(openStep(run(open, volume([a, n]), { rebuildProven: true }).status)).toBeUndefined();
  });

  test("another one went instead: no copy is lost, and it begins again with what is there", () => {
    const removing = begin(two, "RemoveReplica", { count: "1", before: "a,n", victim: "a" }, at, 1);
    const decision = run(removing, volume([a]));
    expect(decision.status).toMatchObject({ failures: 1, expectedReplicaCount: 1 });
    expect(decision.status.steps.at(-1)?.error).toContain("removed n instead of a");
    const again = run(decision.status, volume([a]));
    expect(openStep(again.status)?.name).toBe("SteerPlacement");
    const third = run({ ...removing, failures: 2 }, volume([a]));
    expect(third.status.ending).toMatchObject({ result: "Failed", reason: "SteeringIneffective" });
  });

  test("called off before it was told to go, it stays, and the new one goes", () => {
    const item = { kind: "NodeCordon" as const, target: "node-1", detail: "l" };
    const steering = hold(begin(followed, "SteerRemoval", { victim: "a", count: "1", label: "l" }, at), item, "Set");
    const off = { ...whole, abort: true };
    const skipped = run(steering, volume([a, n]), {}, off);
    expect(skipped.status.steps.at(-1)).toMatchObject({ name: "SteerRemoval", state: "Skipped" });
    const back = run({ ...skipped.status, heldSteering: [] }, volume([a, n]), {}, off);
    expect(openStep(back.status)).toMatchObject({ name: "SteerRemoval", intent: { victim: "n", takesBack: "true" } });
  });
});

describe("taking back", () => {
  const holding = hold({ ...started, ending: { result: "Aborted", reason: "Aborted", message: "m" } }, hot4, "Set");
  const call: Call = { kind: "TakeBackSteering", item: hot4 };
  const releasing = begin(holding, "ReleaseSteering", {}, at);

  test("waits until an attempt to set it, whose end isn't known, can't come any more", () => {
    expect(run(holding, volume([a]), { uncertainMs: 35_000 }).call).toBeUndefined();
    expect(run(holding, volume([a]), { uncertainMs: 36_000 }).call?.call).toEqual(call);
  });

  test("is repeated until it is known: done, or refused since it isn't there and reads agree", () => {
    const still = cluster(pools, { pools: { "hot-4": { cordoned: true } } });
    const repeated: [WriteOutcome, typeof view][] = [
      [unknown, view],
      [refused("conflict"), view],
      [refused("already"), still],
      [refused("noRoute"), view],
    ];
    for (const [outcome, reads] of repeated) {
      const seen = observation(volume([a]), reads, { lastCall: lastCall(1, call, outcome) });
      expect(next(journal(whole, releasing), seen, machine).call?.call).toEqual(call);
    }
    for (const outcome of [done, refused("already"), refused("notFound")]) {
      const decision = run(releasing, volume([a]), { lastCall: lastCall(1, call, outcome) });
      expect(decision.status).toMatchObject({ phase: "Finished", heldSteering: [] });
    }
  });

  test("goes on when the volume is gone", () => {
    expect(run(holding, "absent").call?.call).toEqual(call);
  });
});

test("a volume that is being deleted is left alone at once, whatever was under way", () => {
  const deleting = volume([a, n], { specStatus: "Deleting" });
  const end = run({ ...started, expectedReplicaCount: 2 }, deleting);
  expect(end.status.outcome).toMatchObject({ result: "Superseded", reason: "VolumeDeleted" });
  const aborted = run({ ...started, expectedReplicaCount: 2 }, deleting, {}, { ...whole, abort: true });
  expect(aborted.status.outcome).toMatchObject({ result: "Aborted" });
});

describe("calling off", () => {
  test("gives way to others: a count that somebody else has set stays", () => {
    const off = { ...whole, abort: true };
    const decision = run({ ...started, expectedReplicaCount: 2 }, volume([a, n, b]), {}, off);
    expect(decision.status).toMatchObject({ phase: "Finished", outcome: { result: "Aborted" } });
    expect(decision.status.outcome?.message).toContain("somebody else has set the number of replicas to 3");
  });

  test("a volume that stays broken is left with one more replica, and told so", () => {
    const broken = volume([{ ...a, state: "Faulted", child: "Faulted" }, n]);
    const status = { ...started, expectedReplicaCount: 2 };
    const off = { ...whole, abort: true };
    expect(run(status, broken, {}, off).status.phase).toBe("RollingBack");
    const late = run(status, broken, { endingMs: migrationSettings.rollbackMsMax }, off);
    expect(late.status.outcome?.message).toContain("the volume was left with 2 replicas instead of 1");
  });

  test("its time is over: as when called off; but a replica that is leaving is seen off", () => {
    const late = { elapsedMs: 30 * 60_000 };
    const waiting = begin(
      { ...started, expectedReplicaCount: 2 },
      "WaitForRebuild",
      { replica: "n", pool: "cold-3" },
      at,
    );
    expect(run(waiting, volume([a, n]), late).status.ending?.reason).toBe("Timeout");
    const removing = begin(
      { ...started, expectedReplicaCount: 2 },
      "RemoveReplica",
      { count: "1", before: "a,n", victim: "a" },
      at,
      1,
    );
    const seenOff = run(removing, volume([n]), late);
    expect(seenOff.status.ending).toBeUndefined();
    const followed = ended(begin(seenOff.status, "WaitForRebuild", { replica: "n", pool: "cold-3" }, at), "Done", at);
    expect(run(followed, volume([n]), late).status.outcome).toMatchObject({ result: "Succeeded" });
  });
});

test("what has ended is not taken up again", () => {
  const decision = run({ ...started, phase: "Finished" }, volume([a]));
  expect(decision).toMatchObject({ waitMs: undefined });
  expect(decision.call).toBeUndefined();
});
