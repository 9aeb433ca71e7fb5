/** Before a step that adds or removes a replica: everything that decides where or which is set, one call after the other, then the step itself. */
import type { MigrationStep } from "@couchestor/common/crd/migration.ts";
import { ended, held, hold, joined, letGo, noted, openStep, sameSteering, split, tried } from "./journal.ts";
import { moverOf } from "./movers/choose.ts";
import type { ReplicaMover, Steering, SteeringPlan } from "./movers/mover.ts";
import { possiblePools, targetPools } from "./pools.ts";
import { wantedPools } from "./standing.ts";
import {
  beginStep,
  type Decision,
  goOn,
  lockedBy,
  lookAnew,
  roundFailed,
  type Turn,
  volumeOf,
  waitFor,
  weightsOf,
  with_,
} from "./turn.ts";
import type { ClusterView } from "./view.ts";

/** What a removal is for. `spare`: taking back what was added. */
export interface Removal {
  victim: string;
  count: number;
  /** With ShrinkFirst one copy less than else is enough for the time of the step. */
  shrinks: boolean;
}

/** Attempts at one thing that has to be set, until the whole round has failed. */
const settingAttemptsMax = 5;

export function migrationMover(turn: Turn): ReplicaMover {
  return moverOf(turn.status.baseline?.mover ?? "PoolCordon");
}

/** For the cordons of one step. Nobody can have set one like it before, by chance or on purpose. */
function newLabel({ journal, seen }: Turn): string {
  return `couchestor-${journal.uid.slice(0, 8)}-${seen.nonce}`;
}

/** Where a replica can go and what must be closed for that; or why it can't be placed now. */
export function placementPlan(
  turn: Turn,
  label: string,
): (SteeringPlan & { items: Steering[] }) | { refused: string; message: string } {
  const { seen, settings, journal, status } = turn;
  const volume = volumeOf(turn);
  const view = seen.cluster?.view as ClusterView;
  const wanted = [...wantedPools(journal.spec)];
  const targets = targetPools({
    volume,
    cluster: view,
    wanted,
    reservedBytes: seen.others.reservedBytes,
  });
  if ("refused" in targets) return targets;
  const mine = new Set(
    held(status)
      .filter(({ kind }) => kind === "PoolCordon")
      .map(({ target }) => target),
  );
  const foreign = [...view.pools.values()]
    .filter((pool) => pool.cordoned && !mine.has(pool.name))
    .map(({ name }) => name);
  const leaveAlone = new Set([...foreign, ...split(openStep(status)?.observed?.["leftAlone"])]);
  return migrationMover(turn).placement({
    volume,
    cluster: view,
    targets: targets.pools,
    possible: possiblePools(volume, view).map(({ name }) => name),
    leaveAlone,
    label,
    allowAmbiguous: settings.allow.ambiguousPlacement,
  });
}

/** What must be set for a replica to be the one that goes; or why that can't be had now. */
export function removalPlan(
  turn: Turn,
  victim: string,
  label: string,
): { items: readonly Steering[] } | { refused: string; message: string } {
  const { seen, rules } = turn;
  const volume = volumeOf(turn);
  const { view, version } = seen.cluster as NonNullable<typeof seen.cluster>;
  const plan = migrationMover(turn).removal({ volume, cluster: view, victim, label });
  if ("refused" in plan) return plan;
  const items = rules.steering(plan.items);
  const set = [...items, ...held(turn.status)];
  const likely = rules.victims({
    volume,
    cluster: view,
    version,
    cordonedNodes: new Set([
      ...seen.others.cordonedNodes,
      ...set.filter(({ kind }) => kind === "NodeCordon").map(({ target }) => target),
    ]),
    strippedPools: new Map(
      set
        .filter(({ kind }) => kind === "PoolLabel")
        .map(({ target, detail }) => [target, detail.split("=", 1)[0] ?? ""]),
    ),
  });
  if (likely.length === 1 && likely[0] === victim) return { items };
  return {
    refused: "SteeringIneffective",
    message: `it isn't certain that replica ${victim} would go: the control plane might take ${likely.join(" or ")}; are other nodes cordoned?`,
  };
}

/** Begins to place another replica. `restore`: wherever there is room, since one is missing. */
export function beginPlacement(turn: Turn, count: number, restore = false): Decision {
  const kinds = migrationMover(turn).locks("placement");
  const locked = lockedBy(turn, kinds);
  // Whoever has it wakes the next; this is for when nobody does.
  if (locked !== undefined) return { ...waitFor(turn, locked, turn.settings.pollMs * 3), wants: kinds };
  if (!restore) {
    const plan = placementPlan(turn, newLabel(turn));
    if ("refused" in plan) return waitFor(turn, plan.message);
  }
  const intent = { count: String(count), label: newLabel(turn), ...(restore ? { restore: "true" } : {}) };
  const phase = turn.status.ending === undefined ? ("Preparing" as const) : turn.status.phase;
  const begun = beginStep(with_(turn, { ...turn.status, phase }), "SteerPlacement", intent);
  return { ...steer(begun), take: kinds };
}

/** Begins to remove a replica, which the caller has found to be safe. */
export function beginRemoval(turn: Turn, removal: Removal): Decision {
  const kinds = migrationMover(turn).locks("removal");
  const locked = lockedBy(turn, kinds);
  // Whoever has it wakes the next; this is for when nobody does.
  if (locked !== undefined) return { ...waitFor(turn, locked, turn.settings.pollMs * 3), wants: kinds };
  const { victim, count, shrinks } = removal;
  const intent = {
    count: String(count),
    victim,
    label: newLabel(turn),
    ...(shrinks ? { shrinks: "true" } : {}),
    ...(turn.status.ending === undefined ? {} : { takesBack: "true" }),
  };
  const phase = turn.status.ending === undefined ? ("Switching" as const) : turn.status.phase;
  const begun = beginStep(with_(turn, { ...turn.status, phase }), "SteerRemoval", intent);
  return { ...steer(begun), take: kinds };
}

/** Goes on with setting what is to be set. */
export function steer(turn: Turn): Decision {
  const step = openStep(turn.status) as MigrationStep;
  const removal = step.name === "SteerRemoval";
  const restore = step.intent["restore"] === "true";
  const now = turn.seen.now;
  // What was begun to bring the volume forward is not begun to be done any more.
  const calledOff = turn.status.ending !== undefined && !restore && step.intent["takesBack"] !== "true";
  if (calledOff) return goOn(with_(turn, ended(turn.status, "Skipped", now)));
  const taken = takeOutcome(turn, step);
  if ("waitMs" in taken) return taken;
  const label = step.intent["label"] ?? "";
  const plan = restore
    ? { items: [] }
    : removal
      ? removalPlan(taken, step.intent["victim"] ?? "", label)
      : placementPlan(taken, label);
  if ("refused" in plan) {
    // The world has changed since the step was begun; what was set is taken back, and it is looked at anew.
    return goOn(with_(taken, ended(taken.status, "Failed", now, { error: plan.message })));
  }
  const items = removal || restore ? plan.items : taken.rules.steering(plan.items);
  const leftAlone = split(openStep(taken.status)?.observed?.["leftAlone"]);
  const missing = items.find((item) => !leftAlone.includes(item.target) && !isSet(taken, item));
  if (missing !== undefined) {
    const status = tried(hold(taken.status, missing, "Intended"));
    return { status, call: { step: step.number, call: { kind: "SetSteering", item: missing } }, waitMs: 0 };
  }
  return taken.seen.cluster?.ageMs === 0 ? act(taken, step, removal) : lookAnew(taken);
}

function isSet({ status }: Turn, item: Steering): boolean {
  return held(status).some((other) => sameSteering(other, item) && other.state === "Set");
}

/** What came of the latest attempt to set something goes into the journal. */
function takeOutcome(turn: Turn, step: MigrationStep): Turn | Decision {
  const { lastCall, now } = turn.seen;
  if (lastCall?.step !== step.number || lastCall.call.kind !== "SetSteering") return turn;
  const { item } = lastCall.call;
  const standing = held(turn.status).find((other) => sameSteering(other, item));
  if (standing === undefined || standing.state === "Set") return turn;
  const { outcome, attempts } = lastCall;
  if (outcome.kind === "done") return with_(turn, hold(turn.status, item, "Set"));
  const again = attempts < settingAttemptsMax;
  const giveUp = (reason: string): Decision =>
    goOn(
      roundFailed(with_(turn, ended(turn.status, "Failed", now, { error: outcome.message })), reason, outcome.message),
    );
  if (outcome.kind === "unknown" || outcome.why === "conflict") {
    if (!again) return giveUp("SteeringFailed");
    const status = tried(turn.status);
    return { status, call: { step: step.number, call: lastCall.call }, waitMs: turn.settings.pollMs };
  }
  if (outcome.why === "notFound") return with_(turn, leave(letGo(turn.status, item), item));
  if (outcome.why === "already" || outcome.why === "precondition") {
    if (!turn.rules.isForeign({ why: outcome.why, attempts })) return with_(turn, hold(turn.status, item, "Set"));
    const status = leave(letGo(turn.status, item), item);
    // Somebody else's with the very label of ours: the next step has another one.
    if (item.kind === "NodeCordon")
      return goOn(
        roundFailed(
          with_(turn, ended(status, "Failed", now, { error: `the label ${item.detail} is in use` })),
          "SteeringFailed",
          outcome.message,
        ),
      );
    return with_(turn, status);
  }
  return giveUp(outcome.why === "noRoute" ? "UnsupportedVersion" : "SteeringFailed");
}

/** Remembers what this step doesn't touch. */
function leave(status: Turn["status"], { target }: Steering): Turn["status"] {
  const before = split(openStep(status)?.observed?.["leftAlone"]);
  return noted(status, { leftAlone: joined([...before, target]) });
}

/** Everything is set, and what was read is newer than that: the step itself, if it is still right. */
function act(turn: Turn, step: MigrationStep, removal: boolean): Decision {
  const { seen, settings, status } = turn;
  const volume = volumeOf(turn);
  const victim = step.intent["victim"] ?? "";
  const why = removal ? whyNotRemove(turn, victim, step.intent["shrinks"] === "true") : whyNotAdd(turn);
  if (why !== undefined) return goOn(with_(turn, ended(status, "Failed", seen.now, { error: why })));
  const before = joined(volume.replicas.map(({ uuid }) => uuid));
  const count = Number(step.intent["count"]);
  const done = with_(turn, ended(status, "Done", seen.now));
  const shrinks = step.intent["shrinks"] === "true" ? { shrinks: "true" } : {};
  const intent = removal ? { count: String(count), before, victim, ...shrinks } : { count: String(count), before };
  const begun = beginStep(done, removal ? "RemoveReplica" : "AddReplica", intent);
  const number = openStep(begun.status)?.number ?? 0;
  return {
    status: { ...tried(begun.status), message: removal ? `removes replica ${victim}` : "adds a replica" },
    call: { step: number, call: { kind: "SetReplicaCount", volume: volume.uuid, count } },
    waitMs: settings.pollMs,
  };
}

/** Why a replica must not be added now. */
export function whyNotAdd({ seen, status, settings, rules }: Turn): string | undefined {
  if (seen.seen === "absent") return "the volume is absent";
  if (seen.seen.count !== status.expectedReplicaCount) return `the volume is to have ${seen.seen.count} replicas`;
  return rules.unsoundness(seen.seen, settings.allow.offlineRebuild);
}

/** Why a replica must not be removed now. A complete one goes only after equal reads of complete health. */
export function whyNotRemove(turn: Turn, victim: string, shrinks: boolean): string | undefined {
  const { seen, status, settings, rules } = turn;
  if (seen.seen === "absent") return "the volume is absent";
  const volume = seen.seen;
  if (volume.count !== status.expectedReplicaCount) return `the volume is to have ${volume.count} replicas`;
  const requiredCopies = (status.baseline?.requiredCopies ?? Number.POSITIVE_INFINITY) - (shrinks ? 1 : 0);
  const offline = settings.allow.offlineRebuild;
  const why = rules.whyNotLower({ volume, victim, weights: weightsOf(turn), requiredCopies, offline });
  if (why !== undefined) return why;
  if (rules.settled(seen.settle, "health", settings)) return undefined;
  return `reads are not yet equal for ${Math.round(settings.settleMs / 1000)} s`;
}
