/**
 * Not by chance but one after the other: the brain killed right before and right after each of its effects; each of its calls failing in each
 * way there is; and both together.
 */
import { type CallFault, everyFault } from "../../testing/mayastor/call-faults.ts";
import { finish, type HistoryResult } from "./history.ts";
import type { Scenario } from "./scenario.ts";
import type { KillPoint, MakeDriver } from "./sim-brain.ts";
import { stage } from "./staging.ts";
import { World } from "./world.ts";

/** What is done to one history. */
export interface Case {
  killAt?: KillPoint;
  faultAt?: { write: number; fault: CallFault };
}

const gib = 1024 ** 3;
const volume = {
  sizeBytes: 2 * gib,
  thin: true,
  wantsTier: true,
  publishOnReplica: true,
  preservationMode: false,
  startMs: 0,
  promotes: false,
};
const still = {
  quiet: true,
  callFaults: { percent: 0, callOffPercent: 0 },
  storeFaultPermille: 0,
  events: [],
  killsAfterEffects: [],
  rivalPercent: 0,
  erasureCoded: false,
  allow: {},
};
const settings = { rebuildBytesPerSecond: 100e6, cachePeriodMs: 30_000 };
const both = { hot: true, cold: true };
const hot = { hot: true, cold: false };
const cold = { hot: false, cold: true };

/** The moves that are gone through. */
export const moves: Readonly<Record<string, Scenario>> = {
  "one replica, by cordons of pools": {
    ...still,
    settings: { ...settings, version: { minor: 10, patch: 0 } },
    nodes: [both, both, both],
    volumes: [{ ...volume, replicas: 1 }],
  },
  "two replicas, by cordons of nodes": {
    ...still,
    settings: { ...settings, version: { minor: 9, patch: 0 } },
    nodes: [hot, hot, hot, cold, cold],
    volumes: [{ ...volume, replicas: 2 }],
  },
  "three replicas to one on erasure coding": {
    ...still,
    settings: { ...settings, version: { minor: 12, patch: 0 } },
    nodes: [both, both, both, both],
    volumes: [{ ...volume, replicas: 3 }],
    erasureCoded: true,
  },
  "one on erasure coding to three replicas": {
    ...still,
    settings: { ...settings, version: { minor: 10, patch: 0 } },
    nodes: [both, both, both, both],
    volumes: [{ ...volume, replicas: 3, promotes: true }],
    erasureCoded: true,
  },
};

export interface CaseResult extends HistoryResult {
  /** Of the first brain. */
  effects: number;
  /** Which effect of it each changing call was, the first first. */
  effectOfWrite: readonly number[];
}

/** A move with what is done to it, and how many effects and changing calls its brains made. */
export async function runCase(
  scenario: Scenario,
  { killAt, faultAt }: Case,
  makeDriver: MakeDriver,
): Promise<CaseResult> {
  const seed = 7;
  const world = new World({ seed, settings: scenario.settings, allow: scenario.allow, makeDriver });
  stage(world, scenario);
  if (faultAt !== undefined) world.faultAt.set(faultAt.write, faultAt.fault);
  const brain = world.startBrain(killAt);
  const effectOfWrite: number[] = [];
  const { onCall } = world.plane;
  world.plane.onCall = (call) => {
    if (!call.isRead) effectOfWrite.push(brain.effects);
    onCall?.(call);
  };
  const result = await finish(world, seed);
  return { ...result, effects: brain.effects, effectOfWrite };
}

/** Every kill: before and after each of so many effects. */
export function* kills(effects: number): Generator<Case> {
  for (let effect = 1; effect <= effects; effect++) {
    yield { killAt: { effect, after: false } };
    yield { killAt: { effect, after: true } };
  }
}

/** Every fault of each of so many calls. */
export function* callFaults(writes: number): Generator<Case> {
  for (let write = 1; write <= writes; write++) for (const fault of everyFault) yield { faultAt: { write, fault } };
}

/** Kills that come while a fault is being coped with. */
const effectsAfterFault = 10;

/** Both: every fault of each call, with every kill from that call on until it has been coped with. Many. */
export function* faultsAndKills({ writes, effectOfWrite }: CaseResult): Generator<Case> {
  for (const { faultAt } of callFaults(writes)) {
    const from = effectOfWrite[(faultAt?.write ?? 1) - 1];
    if (faultAt === undefined || from === undefined) continue;
    for (let effect = from; effect <= from + effectsAfterFault; effect++) {
      yield { faultAt, killAt: { effect, after: false } };
      yield { faultAt, killAt: { effect, after: true } };
    }
  }
}

/** What was done, in words that find it again. */
export function caseName({ killAt, faultAt }: Case): string {
  const fault = faultAt === undefined ? [] : [`call ${faultAt.write} ${JSON.stringify(faultAt.fault)}`];
  const kill = killAt === undefined ? [] : [`killed ${killAt.after ? "after" : "before"} effect ${killAt.effect}`];
  return [...fault, ...kill].join(", ");
}
