/** ECStripe status: what is observed of a run, written on transitions only. */

import type { EcStripe, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import {
  judgedStateOf,
  type RunActivity,
  readableStatus,
  stripeStateOf,
} from "@couchestor/common/crd/stripe-status.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import type { ActRecord } from "../acts/act-record.ts";
import type { PoolStanding } from "../inventory/standing.ts";
import { runJudge } from "./run-judge.ts";
import { judgeRun, shapeOf } from "./run-shape.ts";
import type { Services } from "./services.ts";

/** Writes the run's state if it changed. Never throws, and says whether it could: the status is advisory and `observeAll` tries again. */
export async function noteHealth(
  services: Services,
  runName: string,
  epoch?: number,
  checked?: { deep: boolean },
): Promise<boolean> {
  try {
    await services.catalogue.swapRunStatus(runName, (run) => nextStatus(services, run, epoch, checked));
    return true;
  } catch (error) {
    services.context.log.warn({ run: runName, error: String(error) }, "ECStripe status not written; will try again");
    return false;
  }
}

function nextStatus(
  services: Services,
  run: EcStripe,
  epoch: number | undefined,
  checked: { deep: boolean } | undefined,
): EcStripeStatus | undefined {
  const old = run.status ?? { state: "Unwritten" as const, missingShards: [], observedEpoch: 0, observedSeq: 0 };
  const activity = activityOf(services.acts.writerOf(run.metadata.name));
  const isNew = judgedStateOf(old.state) === "Unwritten";
  const health = judgeRun(shapeOf(run.spec), isNew ? patientStanding(services) : standingOf(services));
  const judged = health.uncertain
    ? { state: isNew ? ("Writing" as const) : old.state, missingShards: old.missingShards }
    : { state: stripeStateOf(health.state, activity), missingShards: health.missing };
  const same = judged.state === old.state && judged.missingShards.join() === old.missingShards.join();
  if (same && !checked) return undefined;
  const now = isoNow(services.context.clock);
  return readableStatus(run.spec, {
    ...old,
    state: judged.state,
    missingShards: judged.missingShards,
    observedEpoch: Math.max(old.observedEpoch, epoch ?? run.spec.fencedEpoch),
    ...(checked ? { lastScrub: now } : {}),
    ...(checked?.deep ? { lastAudit: now } : {}),
  });
}

type StandingOf = (poolUuid: string) => PoolStanding;

const standingOf =
  ({ standings }: Services): StandingOf =>
  (pool) =>
    standings.standing(pool);

/** Of a run that was never looked at a pool that no node has reported yet says nothing, until it is so long away that it counts as lost. */
const patientStanding =
  ({ standings, inventory }: Services): StandingOf =>
  (pool) => {
    const standing = standings.standing(pool);
    return standing === "away" && inventory.host(pool) === undefined ? "unknown" : standing;
  };

function activityOf(record: ActRecord | undefined): RunActivity {
  const kind = record?.order.kind;
  return kind === "scrub" ? undefined : kind;
}

const writesAtOnce = 32;
/** Of more than these the later ones may be tried before their turn. */
const refusedMax = 100_000;

/** Who says how many statuses may be written now. */
export interface StatusBudget {
  tryTake(count: number): boolean;
}

/**
 * Brings runs' statuses in line with their pools and with what is being done to them. Returns how many were tried. What `budget` doesn't allow
 * is left for the next look, which finds it by looking, and what has changed back by then is never written. `refused`: runs whose status could not be written
 * at earlier looks, kept by the caller; they come last, or a few that nobody can write would take the whole budget each time.
 */
export async function observeAll(
  services: Services,
  budget?: StatusBudget,
  refused: Set<string> = new Set(),
): Promise<number> {
  const mayTry = (): boolean => budget === undefined || budget.tryTake(1);
  const names: string[] = [];
  const last: string[] = [];
  for (const name of differingRuns(services)) {
    if (refused.has(name)) last.push(name);
    else if (mayTry()) names.push(name);
    else break;
  }
  for (const name of last) {
    if (!mayTry()) break;
    names.push(name);
  }
  for (let next = 0; next < names.length; next += writesAtOnce) {
    await Promise.all(
      names.slice(next, next + writesAtOnce).map(async (name) => {
        refused.delete(name);
        if (!(await noteHealth(services, name)) && refused.size < refusedMax) refused.add(name);
      }),
    );
  }
  return names.length;
}

/** Runs whose status says something else than what is known of them. */
function* differingRuns(services: Services): Generator<string> {
  const activities = new Map<string, RunActivity>();
  for (const record of services.acts.active()) {
    const activity = activityOf(record);
    if (activity !== undefined) activities.set(record.order.runName, activity);
  }
  const judge = runJudge(standingOf(services));
  const judgeNew = runJudge(patientStanding(services));
  for (const entry of services.catalogue.runs.all()) {
    const isNew = entry.state === "Unwritten";
    const health = (isNew ? judgeNew : judge)(entry);
    if (health.uncertain) {
      if (isNew && entry.shown !== "Writing") yield entry.name;
      continue;
    }
    const state = stripeStateOf(health.state, activities.get(entry.name));
    if (state !== entry.shown || !sameNumbers(health.missing, entry.missing)) yield entry.name;
  }
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
