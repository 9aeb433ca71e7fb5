/**
 * The migration as a state machine, pure: from the journal and from what was seen to what is written and done next. Every turn judges by what
 * is there; the journal tells what may be under way, what must be taken back, and how the volume was before.
 */
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { followReplica } from "./copying.ts";
import { countStep } from "./count-steps.ts";
import { begin, ended, ending, held, isUntouched, type Journal, openStep } from "./journal.ts";
import { plan } from "./plan.ts";
import { preflight } from "./preflight.ts";
import { release } from "./release.ts";
import type { MoverRules } from "./rules.ts";
import type { MigrationSettings } from "./settings.ts";
import type { Settle } from "./settle.ts";
import { steer } from "./steer.ts";
import { type Decision, finish, type Observation, type Turn, waitFor, with_ } from "./turn.ts";

export interface Machine {
  settings: MigrationSettings;
  rules: MoverRules;
}

/** What comes next. The same for the same input. */
export function next(journal: Journal, seen: Observation, { settings, rules }: Machine): Decision {
  const { status } = journal;
  if (status.phase === "Finished") return { status, waitMs: undefined };
  const turn: Turn = { journal, status: withObserved(journal), seen, settings, rules };
  if (status.phase === "Pending") return pending(turn);
  // It may wait for its turn to take the first step for long.
  if (seen.policyHold !== undefined && isUntouched(status)) return finish(turn, seen.policyHold);
  return work(with_(turn, withEnding(turn)));
}

/** Whether a turn needs to know pools and nodes: not while a call is being settled or a replica filled. */
export function needsCluster(journal: Journal, settle: Settle, { settings, rules }: Machine): boolean {
  const open = openStep(journal.status)?.name;
  if (open === "AddReplica" || open === "RemoveReplica" || open === "WaitForRebuild")
    return rules.settled(settle, open === "WaitForRebuild" ? "health" : "outcome", settings);
  return true;
}

function withObserved({ status, generation }: Journal): Journal["status"] {
  return generation === undefined ? status : { ...status, observedGeneration: generation };
}

/** Before the first step nothing is to be taken back. */
function pending(turn: Turn): Decision {
  const { journal, seen, settings, status } = turn;
  const off = calledOff(journal);
  if (off !== undefined) return finish(turn, off);
  if (seen.policyHold !== undefined) return finish(turn, seen.policyHold);
  const checked = preflight(turn);
  if ("refused" in checked) {
    const gone = ["ReplicaCountChanged", "ReplicasChanged", "VolumeDeleted"].includes(checked.refused);
    const result = gone ? ("Superseded" as const) : ("Failed" as const);
    return finish(turn, { result, reason: checked.refused, message: checked.message });
  }
  if ("wait" in checked) {
    if (checked.reason === "Busy") return { ...waitFor(turn, checked.wait), busy: true };
    if (seen.pendingMs < settings.preflightMsMax) return waitFor(turn, checked.wait);
    return finish(turn, { result: "Failed", reason: checked.reason, message: checked.wait });
  }
  const started = {
    ...status,
    phase: "Preparing" as const,
    startTime: seen.now,
    baseline: checked.ready,
    expectedReplicaCount: journal.spec.originalReplicaCount,
  };
  const { mover, order, requiredCopies } = checked.ready;
  const observed = { mover, order, requiredCopies: String(requiredCopies) };
  const done = ended(begin(started, "Preflight", {}, seen.now), "Done", seen.now, { observed });
  return work(with_(turn, done));
}

/** How it ends if somebody has called it off. */
export function calledOff({ spec, deleting }: Journal) {
  if (deleting) return { result: "Aborted" as const, reason: "Deleted", message: "its Migration object was deleted" };
  if (spec.abort) return { result: "Aborted" as const, reason: "Aborted", message: "it was called off by spec.abort" };
  return undefined;
}

/** Whether it is to end from now on. A replica that is leaving is seen off first: that takes a minute, and the copy is complete. */
function withEnding({ journal, status, seen }: Turn): Turn["status"] {
  if (status.ending !== undefined) return status;
  const off = calledOff(journal);
  if (off !== undefined) return ending(status, off);
  const open = openStep(status)?.name;
  const leaving = open === "SteerRemoval" || open === "RemoveReplica";
  if (seen.elapsedMs < parseDuration(journal.spec.timeout) || leaving) return status;
  const message = `not done within ${journal.spec.timeout}`;
  return ending(status, { result: "TimedOut", reason: "Timeout", message });
}

function work(turn: Turn): Decision {
  const open = openStep(turn.status)?.name;
  switch (open) {
    case "AddReplica":
    case "RemoveReplica":
      return countStep(turn);
    case "WaitForRebuild":
      return followReplica(turn);
    case "SteerPlacement":
    case "SteerRemoval":
      return turn.seen.seen === "absent" ? abandoned(turn) : steer(turn);
    default:
      return rest(turn);
  }
}

/** The volume doesn't show while something is being set: what was set is taken back. */
function abandoned(turn: Turn): Decision {
  const error = "the volume doesn't show";
  return rest(with_(turn, ended(turn.status, "Failed", turn.seen.now, { error })));
}

/** Between two steps. */
function rest(turn: Turn): Decision {
  if (held(turn.status).length === 0 && openStep(turn.status) === undefined) return plan(turn);
  const result = release(turn);
  return "released" in result ? plan(result.released) : result;
}
