/** What one brain remembers of one migration between its turns. Losing all of it costs time and nothing else. */
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import type { WriteOutcome } from "../mayastor/outcome.ts";
import type { Call } from "./calls.ts";
import { held } from "./journal.ts";
import { type Seen, SettleTracker } from "./settle.ts";
import type { Observation } from "./turn.ts";
import type { ClusterView } from "./view.ts";

export class Memory {
  readonly tracker = new SettleTracker();
  lastCall: Observation["lastCall"];
  /** Pools and nodes as they were when a step that sets or takes back several things read them. */
  cluster: { step: number; view: ClusterView; atMs: number } | undefined;
  /** When the journal was written last, monotonic. */
  writtenMs: number | undefined;
  /** Percent and time of the first look at the rebuild that is under way. */
  pace: { replica: string; percent: number; atMs: number } | undefined;
  #pendingSinceMs: number;
  readonly #elapsedBefore: number;
  readonly #attempts = new Map<string, number>();
  #uncertainMs: number | undefined;
  #workMs: number | undefined;
  #endingMs: number | undefined;
  #changed: { text: string; atMs: number } | undefined;

  /** Made when this brain sees it for the first time. */
  constructor(status: MigrationStatus, nowMs: number) {
    this.#pendingSinceMs = nowMs;
    this.#elapsedBefore = (status.elapsedSeconds ?? 0) * 1000;
    const items = held(status);
    // Another brain may have tried to set them a moment ago, and that may come late.
    if (items.length > 0) this.#uncertainMs = nowMs;
    for (const item of items) this.#attempts.set(keyOf({ kind: "SetSteering", item }), 1);
  }

  /** Since its first step, times without a brain left out. */
  elapsedMs(status: MigrationStatus, nowMs: number): number {
    if (status.phase === "Pending") return 0;
    this.#workMs ??= nowMs;
    return this.#elapsedBefore + nowMs - this.#workMs;
  }

  /** For how long it has waited for its volume or for pools: neither for others, nor for the control plane to answer. */
  pendingMs(nowMs: number): number {
    return nowMs - this.#pendingSinceMs;
  }

  /** That time begins anew. */
  pendingAnew(nowMs: number): void {
    this.#pendingSinceMs = nowMs;
  }

  endingMs(status: MigrationStatus, nowMs: number): number {
    if (status.ending === undefined) return 0;
    this.#endingMs ??= nowMs;
    return nowMs - this.#endingMs;
  }

  uncertainMs(nowMs: number): number | undefined {
    return this.#uncertainMs === undefined ? undefined : nowMs - this.#uncertainMs;
  }

  /** For how long the replicas have looked the same, their progress included. */
  unchangedMs(seen: Seen, nowMs: number): number {
    const text = seen === "absent" ? "absent" : JSON.stringify([seen.status, seen.target, seen.replicas]);
    if (this.#changed?.text !== text) this.#changed = { text, atMs: nowMs };
    return nowMs - this.#changed.atMs;
  }

  /** A call is about to be made; what becomes of it isn't known until `ended`. */
  begun(step: number, call: Call, nowMs: number): void {
    const key = keyOf(call, step);
    const attempts = (this.#attempts.get(key) ?? 0) + 1;
    this.#attempts.set(key, attempts);
    this.lastCall = { step, call, attempts, outcome: { kind: "unknown", message: "no answer came" } };
    if (call.kind === "SetReplicaCount") this.tracker.reset();
    if (call.kind === "SetSteering") this.#uncertainMs = nowMs;
  }

  /** An answer came, or none. `uncertainBefore` is what was uncertain before the call. */
  ended(call: Call, outcome: WriteOutcome, nowMs: number, uncertainBefore: number | undefined): void {
    if (this.lastCall !== undefined) this.lastCall = { ...this.lastCall, outcome };
    if (call.kind === "SetReplicaCount") this.tracker.reset();
    if (call.kind === "SetSteering") this.#uncertainMs = outcome.kind === "unknown" ? nowMs : uncertainBefore;
    if (call.kind === "TakeBackSteering" && outcome.kind !== "unknown")
      this.#attempts.delete(keyOf({ kind: "SetSteering", item: call.item }));
  }

  /** When something that is uncertain was last tried, monotonic. */
  get uncertainSince(): number | undefined {
    return this.#uncertainMs;
  }
}

function keyOf(call: Call, step = 0): string {
  if (call.kind === "SetReplicaCount") return `${call.kind} ${step}`;
  const { kind, target, detail } = call.item;
  return `${call.kind} ${kind} ${target} ${detail}`;
}
