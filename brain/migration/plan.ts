/** Between two steps, with nothing held: what is there decides what comes next. */
import { isComplete } from "./copies.ts";
import { rollBack } from "./roll-back.ts";
import { finalCount, isThere, type Standing, standingOf } from "./standing.ts";
import { beginPlacement, beginRemoval, removalPlan, whyNotRemove } from "./steer.ts";
import { beginStep, type Decision, finish, superseded, type Turn, volumeOf, waitFor, with_ } from "./turn.ts";
import type { ReplicaView } from "./view.ts";

export function plan(turn: Turn): Decision {
  const { seen, settings, rules, status, journal } = turn;
  const settled = rules.settled(seen.settle, "shape", settings);
  if (seen.seen === "absent") {
    if (!settled) return waitFor(turn, "the control plane doesn't show the volume");
    return rollBack(superseded(turn, "VolumeDeleted", "the volume was deleted"));
  }
  const volume = seen.seen;
  if (volume.specStatus === "Deleting" || volume.specStatus === "Deleted")
    return rollBack(superseded(turn, "VolumeDeleted", "the volume is being deleted"));
  if (volume.count !== status.expectedReplicaCount) {
    if (!settled) return waitFor(turn, `the volume is to have ${volume.count} replicas, which is unexpected`);
    const message = `somebody else has set the number of replicas to ${volume.count}`;
    return rollBack(superseded(turn, "ReplicaCountChanged", message));
  }
  if (status.ending !== undefined) return rollBack(turn);
  const baseline = (status.baseline?.replicas ?? []).map(({ replicaUuid }) => replicaUuid);
  const standing = standingOf(journal.spec, baseline, volume);
  const unsound = rules.unsoundness(volume, settings.allow.offlineRebuild);
  return unsound === undefined ? advance(turn, standing) : mend(turn, standing, unsound);
}

/** Not everything is complete: our own new replica is followed, one that landed elsewhere is removed, anything else is waited for. */
function mend(turn: Turn, { arrived, strangers }: Standing, unsound: string): Decision {
  const volume = volumeOf(turn);
  const { spec } = turn.journal;
  const incomplete = volume.replicas.filter((replica) => !isComplete(volume, replica));
  const [first] = incomplete;
  if (volume.replicas.length === volume.count && first?.pool !== undefined && arrived.includes(first))
    return follow(turn, first);
  if (
    incomplete.length === 1 &&
    first !== undefined &&
    strangers.includes(first) &&
    volume.count > spec.finalReplicaCount
  )
    return remove(turn, [first], volume.count - 1);
  return waitFor(turn, `waits until the volume is whole: ${unsound}`);
}

function follow(turn: Turn, { uuid, pool = "" }: ReplicaView): Decision {
  const phased = with_(turn, { ...turn.status, phase: "Copying" });
  return waitFor(beginStep(phased, "WaitForRebuild", { replica: uuid, pool }), `fills replica ${uuid} on ${pool}`);
}

/** Everything is complete. */
function advance(turn: Turn, standing: Standing): Decision {
  const { journal, status } = turn;
  const { spec } = journal;
  const { sources, keepers, arrived, strangers } = standing;
  const { count } = volumeOf(turn);
  const unfollowed = arrived.find(
    ({ uuid }) =>
      !status.steps.some(
        ({ name, state, intent }) => name === "WaitForRebuild" && state === "Done" && intent["replica"] === uuid,
      ),
  );
  // Even one that was complete at first sight is looked at until that is certain.
  if (unfollowed !== undefined) return follow(turn, unfollowed);
  if (isThere(spec, standing)) return verify(turn);
  if (spec.preservationMode && count < finalCount(spec)) return beginPlacement(turn, count + 1);
  if (spec.preservationMode) return replacedMeanwhile(turn);
  const { originalReplicaCount: original, finalReplicaCount: final } = spec;
  const shrinks = status.baseline?.order === "ShrinkFirst";
  const onTarget = keepers.length + arrived.length;
  if (shrinks && count === original && sources.length > 0) return remove(turn, sources, count - 1, true);
  const ceiling = Math.max(original, final) + (shrinks ? 0 : 1);
  const lacking = sources.length > 0 || count < final;
  if (onTarget < final && count < ceiling && lacking) return beginPlacement(turn, count + 1);
  const leaving = [...strangers, ...sources];
  if (leaving.length > 0 && count > final) return remove(turn, leaving, count - 1);
  if (count > final) return remove(turn, [...arrived, ...keepers], count - 1);
  return replacedMeanwhile(turn);
}

function replacedMeanwhile(turn: Turn): Decision {
  const message = "the control plane has replaced replicas by others meanwhile; the policy decides anew";
  return rollBack(superseded(turn, "ReplicasChanged", message));
}

/** Removes the first of these that can be removed for certain. */
function remove(turn: Turn, candidates: readonly ReplicaView[], count: number, shrinks = false): Decision {
  let why = "there is nothing to remove";
  for (const { uuid } of candidates) {
    const unsafe = whyNotRemove(turn, uuid, shrinks);
    const plan = unsafe === undefined ? removalPlan(turn, uuid, "couchestor") : undefined;
    if (plan !== undefined && !("refused" in plan)) return beginRemoval(turn, { victim: uuid, count, shrinks });
    why = unsafe ?? (plan !== undefined && "refused" in plan ? plan.message : why);
  }
  return waitFor(turn, `can't remove a replica yet: ${why}`);
}

/** Nothing is left to be done, and equal reads say so. */
function verify(turn: Turn): Decision {
  const { seen, settings, rules, journal } = turn;
  const verifying = with_(turn, { ...turn.status, phase: "Verifying" });
  if (!rules.settled(seen.settle, "health", settings))
    return waitFor(verifying, "looks whether everything stays as it should be");
  const { replicas } = volumeOf(turn);
  const pools = replicas.map(({ pool }) => pool).join(", ");
  const message = `the volume has ${replicas.length} complete replica(s), on ${pools}`;
  const { spec } = journal;
  return finish(verifying, {
    result: "Succeeded",
    reason: spec.preservationMode ? "Preserved" : "Moved",
    message: `${message}; it is on ${spec.toTier}`,
  });
}
