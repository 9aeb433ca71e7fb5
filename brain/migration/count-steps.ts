/**
 * A replica count has been asked for. Whatever was answered, nothing is concluded before reads were equal for longer than the server's cache
 * and deadlines; then what there is decides, not what was said.
 */
import type { MigrationStep } from "@couchestor/common/crd/migration.ts";
import type { WriteOutcome } from "../mayastor/outcome.ts";
import { ended, openStep, split, tried } from "./journal.ts";
import { list } from "./pools.ts";
import { wantedPools } from "./standing.ts";
import { removalPlan, whyNotAdd, whyNotRemove } from "./steer.ts";
import { type Decision, goOn, lookAnew, roundFailed, superseded, type Turn, waitFor, with_ } from "./turn.ts";
import type { VolumeView } from "./view.ts";

export function countStep(turn: Turn): Decision {
  const { seen, settings, rules, status } = turn;
  const step = openStep(status) as MigrationStep;
  const adds = step.name === "AddReplica";
  const phase = status.ending !== undefined ? status.phase : adds ? "Preparing" : "Switching";
  const waiting = with_(turn, { ...status, phase });
  if (!rules.settled(seen.settle, "outcome", settings)) {
    const seconds = Math.round(settings.settleMs / 1000);
    return waitFor(waiting, `waits until reads were equal for ${seconds} s, to know what came of ${step.name}`);
  }
  if (seen.seen === "absent") {
    const error = "the volume is gone";
    return goOn(superseded(with_(turn, ended(status, "Failed", seen.now, { error })), "VolumeDeleted", error));
  }
  const volume = seen.seen;
  const want = Number(step.intent["count"]);
  if (volume.count === want) return adds ? added(turn, step, volume) : removed(turn, step, volume);
  if (volume.count === status.expectedReplicaCount) return notDone(turn, step);
  return countIsForeign(turn, volume);
}

function countIsForeign(turn: Turn, volume: VolumeView): Decision {
  const error = `somebody else has set the number of replicas to ${volume.count}`;
  const status = ended(turn.status, "Failed", turn.seen.now, { error });
  return goOn(superseded(with_(turn, status), "ReplicaCountChanged", error));
}

/** The server's own words on the latest attempt, if this process made it. */
function outcomeOf({ seen }: Turn, step: MigrationStep): WriteOutcome | undefined {
  return seen.lastCall?.step === step.number ? seen.lastCall.outcome : undefined;
}

function added(turn: Turn, step: MigrationStep, volume: VolumeView): Decision {
  const { seen, rules, journal } = turn;
  const outcome = outcomeOf(turn, step);
  // Our only attempt was refused, and yet the count is as it would have made it: somebody else made it so.
  if (step.attempts === 1 && seen.lastCall?.attempts === 1 && outcome?.kind === "refused")
    return countIsForeign(turn, volume);
  const status = { ...turn.status, expectedReplicaCount: volume.count };
  const before = split(step.intent["before"]);
  const wanted = wantedPools(journal.spec);
  const arrived = rules.newcomer(volume, before, wanted);
  if (arrived !== undefined) {
    const observed = { replica: arrived.uuid, pool: arrived.pool ?? "" };
    return goOn(with_(turn, ended(status, "Done", seen.now, { observed })));
  }
  const others = volume.replicas.filter(({ uuid }) => !before.includes(uuid));
  const where = list(others.map(({ uuid, pool }) => `${uuid} on ${pool ?? "no pool"}`));
  const error =
    others.length === 0 ? "no new replica is there" : `the new replica is on a pool that was not wanted: ${where}`;
  const next = with_(turn, ended(status, "Failed", seen.now, { error }));
  // A missing one that is wanted anyway is placed by the server itself, and then found.
  if (turn.status.ending !== undefined) return goOn(next);
  return goOn(roundFailed(next, others.length === 0 ? "RebuildFailed" : "AmbiguousPlacement", error));
}

function removed(turn: Turn, step: MigrationStep, volume: VolumeView): Decision {
  const { seen } = turn;
  const status = { ...turn.status, expectedReplicaCount: volume.count };
  const there = new Set(volume.replicas.map(({ uuid }) => uuid));
  const gone = split(step.intent["before"]).filter((uuid) => !there.has(uuid));
  const victim = step.intent["victim"] ?? "";
  const observed = { removed: gone.join(",") };
  if (!there.has(victim)) return goOn(with_(turn, ended(status, "Done", seen.now, { observed })));
  const error = `the control plane removed ${gone.length === 0 ? "another replica" : gone.join(", ")} instead of ${victim}`;
  const next = with_(turn, ended(status, "Failed", seen.now, { observed, error }));
  return goOn(turn.status.ending === undefined ? roundFailed(next, "SteeringIneffective", error) : next);
}

/** Nothing came of it, and nothing will. */
function notDone(turn: Turn, step: MigrationStep): Decision {
  const { seen, settings, status } = turn;
  const outcome = outcomeOf(turn, step);
  const said = outcome === undefined || outcome.kind === "done" ? "nothing came of it" : outcome.message;
  const adds = step.name === "AddReplica";
  const over = with_(
    turn,
    ended(status, status.ending === undefined ? "Failed" : "Skipped", seen.now, { error: said }),
  );
  if (status.ending !== undefined) return goOn(over);
  const why = outcome?.kind === "refused" ? outcome.why : undefined;
  // Others' rebuilds end by themselves: it is tried again until the migration's time is over.
  if (why === "tooManyRebuilds") return { ...goOn(over), waitMs: settings.pollMs * 6 };
  const lasting = why === "noPool" || why === "noRoute" || why === "unauthorized" || why === "invalid";
  const again = !lasting && step.attempts < settings.attemptsMax;
  // As at the first time: pools and nodes as they are now, not as they were when the call was sent.
  if (again && (seen.cluster?.ageMs ?? 0) > 0) return lookAnew(turn);
  if (again && mayRepeat(turn, step, adds)) {
    const count = Number(step.intent["count"]);
    const call = { kind: "SetReplicaCount" as const, volume: turn.journal.spec.volumeUuid, count };
    return { status: tried(status), call: { step: step.number, call }, waitMs: settings.pollMs };
  }
  const reason = why === "noPool" ? "NotEnoughSpace" : adds ? "AddFailed" : "RemoveFailed";
  return goOn(roundFailed(over, reason, said));
}

/** Whether the very same call is still right, with what is set still set. */
function mayRepeat(turn: Turn, step: MigrationStep, adds: boolean): boolean {
  if (adds) return whyNotAdd(turn) === undefined;
  const victim = step.intent["victim"] ?? "";
  if (turn.seen.cluster === undefined) return false;
  const shrinks = step.intent["shrinks"] === "true";
  return whyNotRemove(turn, victim, shrinks) === undefined && !("refused" in removalPlan(turn, victim, "couchestor"));
}
