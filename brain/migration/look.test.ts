import { describe, expect, test } from "bun:test";
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { nodeSchema, poolSchema, type RebuildHistory, volumeSchema } from "../mayastor/model.ts";
import { begin, emptyStatus, ended, ending } from "./journal.ts";
import { rebuildProven } from "./look.ts";
import { Memory } from "./memory.ts";
import { newsOf } from "./news.ts";
import { withProgress } from "./progress.ts";
import { gib, journal, replica, spec, volume } from "./testing/samples.ts";
import { clusterView, volumeView } from "./view.ts";

const at = "2026-01-01T00:00:00.000Z";

describe("what is taken out of answers", () => {
  const pool = (cordon_drain?: unknown) =>
    poolSchema.parse({ id: "p", spec: { node: "n", status: "Created", labels: {}, cordon_drain }, state: undefined });
  const cordonedBy = (form: unknown) => clusterView([pool(form)], []).pools.get("p")?.cordoned;

  test("a pool is cordoned when its cordon says so of replicas, in whichever form; or when there is one and it doesn't say of what", () => {
    expect([undefined, null, {}].map(cordonedBy)).toEqual([false, false, false]);
    expect(cordonedBy({ cordon: { replicas: true, snapshots: false } })).toBe(true);
    expect(cordonedBy({ cordon: { replicas: false, snapshots: true } })).toBe(false);
    expect(cordonedBy({ cordonedstate: { resources: { inner: { replicas: true } } } })).toBe(true);
    expect(cordonedBy({ drainingstate: {} })).toBe(true);
    expect(cordonedBy("Cordoned")).toBe(true);
  });

  test("a node is cordoned by each label of its cordons and drains", () => {
    const node = (cordondrainstate: unknown) =>
      nodeSchema.parse({ id: "n", spec: { cordondrainstate }, state: { status: "Online" } });
    const labels = (form: unknown) => clusterView([], [node(form)]).nodes.get("n")?.cordons;
    expect(labels(undefined)).toEqual([]);
    expect(labels({ cordonedstate: { cordonlabels: ["a", "b"] } })).toEqual(["a", "b"]);
    expect(labels({ drainingstate: { cordonlabels: ["a"], drainlabels: ["d"] } })).toEqual(["a", "d"]);
  });

  test("what is left out, or is a word that isn't known, is never well", () => {
    const bare = volumeSchema.parse({
      spec: { uuid: "v", size: 1, num_replicas: 1, status: "Created" },
      state: { status: "Splendid", replica_topology: { r: { state: "Great" } } },
    });
    const view = volumeView(bare);
    expect(view).toMatchObject({ status: "Unknown", publishedOn: undefined, target: undefined });
    expect(view.replicas).toMatchObject([{ state: "Unknown", pool: undefined, child: undefined, healthy: undefined }]);
    expect(clusterView([pool()], []).pools.get("p")).toMatchObject({ status: undefined, freeBytes: 0 });
  });
});

describe("the record of a rebuild", () => {
  const record = (childUri: string, rebuildJobState: "Completed" | "Failed", endTime: string, blocksRemaining = 0) => ({
    childUri,
    rebuildJobState,
    endTime,
    blocksRemaining,
    blocksTotal: 1,
    blocksRecovered: 1,
    blockSize: 512,
  });
  const history = (...records: RebuildHistory["records"]): RebuildHistory => ({ records });

  test("the newest one of the replica decides; none of it decides nothing", () => {
    expect(rebuildProven(undefined, "r1")).toBeUndefined();
    expect(rebuildProven(history(record("nvmf://h/nqn:r2", "Failed", "2")), "r1")).toBeUndefined();
    expect(rebuildProven(history(record("nvmf://h/nqn:r1", "Completed", "2")), "r1")).toBe(true);
    const [old, recent] = [record("nvmf://h/nqn:r1", "Completed", "1"), record("nvmf://h/nqn:r1", "Failed", "2")];
    expect([rebuildProven(history(old, recent), "r1"), rebuildProven(history(recent, old), "r1")]).toEqual([
      false,
      false,
    ]);
    expect(rebuildProven(history(record("nvmf://h/nqn:r1", "Completed", "2", 7)), "r1")).toBe(false);
  });
});

describe("how far it is", () => {
  const a = replica("a", "hot-1", { allocatedBytes: gib / 4 });
  const b = replica("b", "hot-2");
  const of = spec([a, b], ["cold-3"]);
  const baseline = { replicas: [], requiredCopies: 2, mover: "PoolCordon" as const, order: "GrowFirst" as const };
  const filling = begin(
    { ...emptyStatus, phase: "Copying", baseline },
    "WaitForRebuild",
    { replica: "n", pool: "cold-3" },
    at,
  );
  const progress = (status: MigrationStatus, percent: number, memory: Memory, nowMs: number) => {
    const n = replica("n", "cold-3", { child: "Degraded", rebuildPercent: percent, allocatedBytes: gib / 4 });
    const seen = volume([a, { ...b, allocatedBytes: gib / 4 }, n]);
    return withProgress(journal(of, status), status, { seen, memory, nowMs, wallMs: 0 });
  };

  test("counts what is allocated, one replica after the other; and tells when it should end by its pace", () => {
    const memory = new Memory(filling, 0);
    expect(progress(filling, 0, memory, 0)).toMatchObject({ bytesTotal: gib / 2, bytesDone: 0, progressPercent: 0 });
    const half = progress(filling, 50, memory, 10_000);
    expect(half).toMatchObject({
      bytesDone: gib / 8,
      progressPercent: 25,
      estimatedEndTime: new Date(20_000).toISOString(),
    });
    const second = begin(ended(filling, "Done", at), "WaitForRebuild", { replica: "n", pool: "cold-3" }, at);
    expect(progress(second, 10, memory, 20_000)).toMatchObject({ progressPercent: 55 });
  });

  test("a rebuild that begins anew gives no estimate before it has moved", () => {
    const memory = new Memory(filling, 0);
    progress(filling, 40, memory, 0);
    expect(progress(filling, 10, memory, 5_000).estimatedEndTime).toBeUndefined();
  });
});

describe("what people hear", () => {
  const moves = journal(spec([replica("a", "hot-1")], ["cold-3"]));
  const baseline = { replicas: [], requiredCopies: 1, mover: "PoolCordon" as const, order: "GrowFirst" as const };
  const working: MigrationStatus = { ...emptyStatus, phase: "Preparing", baseline };
  const heard = (before: MigrationStatus, after: MigrationStatus) =>
    newsOf(moves, before, after).map(({ type, reason }) => `${type} ${reason}`);

  test("its start, rounds that came to nothing, that it is taken back, and its end; each once", () => {
    expect(heard(emptyStatus, working)).toEqual(["Normal MigrationStarted"]);
    expect(heard(working, { ...working, failures: 1 })).toEqual(["Warning MigrationRoundFailed"]);
    const rolling = ending(working, { result: "TimedOut", reason: "Timeout", message: "late" });
    expect(heard(working, rolling)).toEqual(["Warning MigrationRollingBack"]);
    const outcome = { result: "Succeeded" as const, reason: "Moved", message: "m" };
    expect(heard(working, { ...working, phase: "Finished", outcome })).toEqual(["Normal MigrationSucceeded"]);
    const refused = { result: "Failed" as const, reason: "NoSpareNode", message: "m" };
    expect(heard(emptyStatus, { ...emptyStatus, phase: "Finished", outcome: refused })).toEqual([
      "Warning MigrationFailed",
    ]);
    expect(heard(rolling, rolling)).toEqual([]);
  });
});

test("what one brain remembers: time at work without times of others, and attempts whose end isn't known", () => {
  const item = { kind: "PoolCordon" as const, target: "p", detail: "replicas" };
  const status: MigrationStatus = { ...emptyStatus, phase: "Copying", elapsedSeconds: 600 };
  const memory = new Memory(status, 1_000_000);
  expect(memory.elapsedMs(status, 1_000_000)).toBe(600_000);
  expect(memory.elapsedMs(status, 1_005_000)).toBe(605_000);
  expect(memory.uncertainMs(1_005_000)).toBeUndefined();
  memory.begun(1, { kind: "SetSteering", item }, 2_000_000);
  expect(memory.lastCall).toMatchObject({ attempts: 1, outcome: { kind: "unknown" } });
  memory.ended({ kind: "SetSteering", item }, { kind: "done", body: {} }, 2_000_100, undefined);
  expect(memory.uncertainMs(2_001_000)).toBeUndefined();
  // Another brain may have tried just before: nothing is certain for a while, and its attempt counts.
  const later = new Memory({ ...status, heldSteering: [{ ...item, state: "Intended" }] }, 0);
  expect(later.uncertainMs(5)).toBe(5);
  later.begun(1, { kind: "SetSteering", item }, 10);
  expect(later.lastCall?.attempts).toBe(2);
});
