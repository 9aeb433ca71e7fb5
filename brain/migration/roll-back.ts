/** It is called off, has failed, or makes no sense any more: the volume gets back what it had, as far as nobody else has changed it. */
import type { MigrationOutcome } from "@couchestor/common/crd/migration.ts";
import { copiesOf, isComplete } from "./copies.ts";
import { isThere, standingOf } from "./standing.ts";
import { beginPlacement, beginRemoval, removalPlan, whyNotRemove } from "./steer.ts";
import { type Decision, finish, type Turn, waitFor, weightsOf, with_ } from "./turn.ts";
import type { ReplicaView, VolumeView } from "./view.ts";

/** Reasons for which the number of replicas is not touched any more: somebody else decides it. */
const handsOff = new Set(["ReplicaCountChanged", "VolumeDeleted"]);

export function rollBack(given: Turn): Decision {
  const turn = with_(given, { ...given.status, phase: "RollingBack" });
  const { seen, journal, status, rules, settings } = turn;
  const outcome = status.ending as MigrationOutcome;
  const { spec } = journal;
  if (seen.seen === "absent" || status.baseline === undefined || handsOff.has(outcome.reason))
    return finish(turn, outcome);
  const volume = seen.seen;
  if (volume.specStatus === "Deleting" || volume.specStatus === "Deleted") return finish(turn, outcome);
  if (volume.count !== status.expectedReplicaCount)
    return leave(turn, `somebody else has set the number of replicas to ${volume.count}, so it stays`);
  const baseline = status.baseline.replicas.map(({ replicaUuid }) => replicaUuid);
  const standing = standingOf(spec, baseline, volume);
  const sound = rules.unsoundness(volume, settings.allow.offlineRebuild) === undefined;
  if (sound && isThere(spec, standing) && rules.settled(seen.settle, "health", settings))
    return finish(turn, {
      result: "Succeeded",
      reason: "Moved",
      message: `it was there before it could be called off (${outcome.message})`,
    });
  const original = spec.originalReplicaCount;
  if (volume.count > original) return takeBack(turn, volume, [...standing.arrived, ...standing.strangers]);
  if (volume.count < original) return giveBack(turn, volume);
  return atRest(turn, volume);
}

/** What was added goes again: what is incomplete first, and what is complete only if enough is left without it. */
function takeBack(turn: Turn, volume: VolumeView, added: readonly ReplicaView[]): Decision {
  const candidates = [
    ...added.filter((replica) => !isComplete(volume, replica)),
    ...added.filter((replica) => isComplete(volume, replica)),
  ];
  let why = "none of its replicas is ours";
  for (const { uuid } of candidates) {
    const unsafe = whyNotRemove(turn, uuid, false);
    const plan = unsafe === undefined ? removalPlan(turn, uuid, "couchestor") : undefined;
    if (plan !== undefined && !("refused" in plan))
      return beginRemoval(turn, { victim: uuid, count: volume.count - 1, shrinks: false });
    why = unsafe ?? (plan !== undefined && "refused" in plan ? plan.message : why);
  }
  const original = turn.journal.spec.originalReplicaCount;
  const remark = `the volume was left with ${volume.count} replicas instead of ${original}, since ${why}; when it is whole, set its count back`;
  if (candidates.length === 0) return leave(turn, remark);
  return waitOrLeave(turn, `can't take back the new replica yet: ${why}`, remark);
}

/** Fewer than it had: with enough copies it stays so, otherwise it gets another. */
function giveBack(turn: Turn, volume: VolumeView): Decision {
  const { rules, settings, status } = turn;
  const required = status.baseline?.requiredCopies ?? 0;
  const original = turn.journal.spec.originalReplicaCount;
  const unsound = rules.unsoundness(volume, settings.allow.offlineRebuild);
  const copies = copiesOf(volume, volume.replicas, weightsOf(turn));
  if (copies >= required)
    return leave(turn, `the volume was left with ${volume.count} replica(s), worth ${copies} copies`);
  const remark = `the volume was left with ${volume.count} replicas instead of ${original}; set its count back`;
  if (unsound !== undefined) return waitOrLeave(turn, `can't give the volume back its replica yet: ${unsound}`, remark);
  return beginPlacement(turn, volume.count + 1, true);
}

/** As many as it had. Where one left before its successor was complete, that is waited for. */
function atRest(turn: Turn, volume: VolumeView): Decision {
  const { journal, status } = turn;
  const { spec } = journal;
  const required = status.baseline?.requiredCopies ?? 0;
  const replaced = status.baseline?.order === "ShrinkFirst" || spec.originalReplicaCount !== spec.finalReplicaCount;
  const copies = copiesOf(volume, volume.replicas, weightsOf(turn));
  if (!replaced || copies >= required) return finish(turn, status.ending as MigrationOutcome);
  return waitOrLeave(
    turn,
    `waits until ${required} copies are complete; there are ${copies}`,
    `${copies} copies are complete, ${required} were there before; the control plane goes on with filling`,
  );
}

function waitOrLeave(turn: Turn, why: string, remark: string): Decision {
  return turn.seen.endingMs < turn.settings.rollbackMsMax ? waitFor(turn, why) : leave(turn, remark);
}

/** Ends with the volume not quite as it was, and says so. */
function leave(turn: Turn, remark: string): Decision {
  const outcome = turn.status.ending as MigrationOutcome;
  return finish(turn, { ...outcome, message: `${outcome.message}. ${remark}` });
}
