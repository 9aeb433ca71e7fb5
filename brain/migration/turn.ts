/** One turn of a migration: what was seen goes in, what to write and what to do comes out. Plain data both ways. */
import type { MigrationOutcome, MigrationStatus } from "@couchestor/common/crd/migration.ts";
import type { WriteOutcome } from "../mayastor/outcome.ts";
import type { Call } from "./calls.ts";
import type { Weights } from "./copies.ts";
import { begin, ending, failed, type Journal, short } from "./journal.ts";
import type { LockKind, Steering } from "./movers/mover.ts";
import type { MoverRules } from "./rules.ts";
import type { MigrationSettings } from "./settings.ts";
import type { Seen, Settle } from "./settle.ts";
import type { ServerVersion } from "./version.ts";
import type { ClusterView, VolumeView } from "./view.ts";

export interface Observation {
  /** Wall-clock, for the journal's timestamps; nothing is decided by it. */
  now: string;
  /** Eight hexadecimal digits that were never used before. */
  nonce: string;
  /** Since the first step, times without a brain left out. */
  elapsedMs: number;
  /** For how long this brain has seen it wait for its volume or pools before its first step; and since when it saw that it is to be taken back. */
  pendingMs: number;
  endingMs: number;
  seen: Seen;
  settle: Settle;
  /** Read only when a step needs it; see `needsCluster`. */
  cluster: { view: ClusterView; version: ServerVersion; ageMs: number } | undefined;
  /** Copies that a replica on a pool is worth; pools that are not named: one. */
  copiesByPool: ReadonlyMap<string, number>;
  /** What the server's record of rebuilds says of the replica that is followed: complete or not; undefined: nothing. */
  rebuildProven: boolean | undefined;
  /** How long nothing has changed in how the replicas are. */
  unchangedMs: number;
  /** The latest call of this process for this migration, if its outcome has not been written yet. */
  lastCall: { step: number; call: Call; outcome: WriteOutcome; attempts: number } | undefined;
  uncertainMs: number | undefined;
  others: Others;
  /** While it is untouched: how it ends, since its policy wants none of it now. */
  policyHold?: MigrationOutcome | undefined;
  /** Who has it: nobody, this migration, or another one of that name. */
  locks: Readonly<Record<LockKind, "free" | "mine" | { holder: string }>>;
}

/** What other migrations are about. */
export interface Others {
  /** An older one of the same volume. */
  sameVolume: string | undefined;
  /** Replicas that are being filled by them. */
  copying: number;
  /** Room that they were promised, by pool. */
  reservedBytes: ReadonlyMap<string, number>;
  /** What they hold, or are about to: it is taken back within minutes. */
  steering: readonly Steering[];
  /** Nodes that they hold cordoned. */
  cordonedNodes: ReadonlySet<string>;
}

export interface Decision {
  /** To be written before the call is made, if it differs from what is written. */
  status: MigrationStatus;
  call?: { step: number; call: Call };
  /** To be taken first; if they can't be had, nothing of this is done. */
  take?: readonly LockKind[];
  /** Waited for: whoever has waited longest gets it. */
  wants?: readonly LockKind[];
  /** The next turn must read pools and nodes anew. */
  fresh?: boolean;
  /** It waits for others and not for its volume: the time for that begins anew. */
  busy?: boolean;
  /** Until the next turn; undefined: none is needed. */
  waitMs: number | undefined;
}

export interface Turn {
  journal: Journal;
  /** As it has become in this turn. */
  status: MigrationStatus;
  seen: Observation;
  settings: MigrationSettings;
  rules: MoverRules;
}

/** The same turn with another status. */
export function with_(turn: Turn, status: MigrationStatus): Turn {
  return { ...turn, status };
}

/** The volume, which the caller has checked is there. */
export function volumeOf({ seen }: Turn): VolumeView {
  if (seen.seen === "absent") throw new Error("the volume is absent");
  return seen.seen;
}

export function waitFor(turn: Turn, why: string, ms = turn.settings.pollMs): Decision {
  return { status: { ...turn.status, message: short(why) }, waitMs: ms };
}

/** Comes again at once, with reads that the next step needs. */
export function goOn(turn: Turn): Decision {
  return { status: turn.status, waitMs: 0 };
}

/** Comes again at once, with reads newer than this. */
export function lookAnew(turn: Turn): Decision {
  return { status: turn.status, fresh: true, waitMs: 0 };
}

/** The end: everything of ours has been taken back. */
export function finish(
  turn: { status: MigrationStatus; seen: Pick<Observation, "now"> },
  outcome: MigrationOutcome,
): Decision {
  const { ending: _, ...status } = turn.status;
  const message = short(outcome.message);
  return {
    status: { ...status, phase: "Finished", outcome: { ...outcome, message }, message, endTime: turn.seen.now },
    waitMs: 0,
  };
}

/** A round has come to nothing: once more, or the end of it. */
export function roundFailed(turn: Turn, reason: string, message: string): Turn {
  const status = failed(turn.status);
  if ((status.failures ?? 0) < turn.settings.attemptsMax) return with_(turn, status);
  return with_(turn, ending(status, { result: "Failed", reason, message }));
}

export function superseded(turn: Turn, reason: string, message: string): Turn {
  return with_(turn, ending(turn.status, { result: "Superseded", reason, message }));
}

/** Copies by replica. */
export function weightsOf({ seen }: Turn): Weights {
  if (seen.seen === "absent") return new Map();
  return new Map(seen.seen.replicas.map(({ uuid, pool }) => [uuid, seen.copiesByPool.get(pool ?? "") ?? 1]));
}

/** The locks that are another's, in words; undefined if all can be had. */
export function lockedBy({ seen }: Turn, kinds: readonly LockKind[]): string | undefined {
  for (const kind of kinds) {
    const state = seen.locks[kind];
    if (typeof state === "object") return `waits for migration ${state.holder}, one ${kind} at a time`;
  }
  return undefined;
}

/** Begins a step in this turn. */
export function beginStep(turn: Turn, name: Parameters<typeof begin>[1], intent: Record<string, string>): Turn {
  return with_(turn, begin(turn.status, name, intent, turn.seen.now));
}
