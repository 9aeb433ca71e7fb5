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
import { runJudge } from "./run-judge.ts";
import { judgeRun, shapeOf } from "./run-shape.ts";
import type { Services } from "./services.ts";

/** Writes the run's state if it changed. Never throws: the status is advisory and `observeAll` tries again. */
export async function noteHealth(
  services: Services,
  runName: string,
  epoch?: number,
  checked?: { deep: boolean },
): Promise<void> {
  try {
    await services.catalogue.swapRunStatus(runName, (run) => nextStatus(services, run, epoch, checked));
  } catch (error) {
    services.context.log.warn({ run: runName, error: String(error) }, "ECStripe status not written; will try again");
  }
}

function nextStatus(
  services: Services,
  run: EcStripe,
  epoch: number | undefined,
  checked: { deep: boolean } | undefined,
): EcStripeStatus | undefined {
  const health = judgeRun(shapeOf(run.spec), (pool) => services.standings.standing(pool));
  const old = run.status ?? { state: "Unwritten" as const, missingShards: [], observedEpoch: 0, observedSeq: 0 };
  const activity = activityOf(services.acts.writerOf(run.metadata.name));
  const judged =
    health.uncertain && judgedStateOf(old.state) !== "Unwritten"
      ? old
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

function activityOf(record: ActRecord | undefined): RunActivity {
  const kind = record?.order.kind;
  return kind === "scrub" ? undefined : kind;
}

const writesAtOnce = 32;

/** Who says how many statuses may be written now. */
export interface StatusBudget {
  tryTake(count: number): boolean;
}

/**
 * Brings runs' statuses in line with their pools and with what is being done to them. Returns how many changed. What `budget` doesn't allow
 * is left for the next look, which finds it by looking: nothing is remembered, and what has changed back by then is never written.
 */
export async function observeAll(services: Services, budget?: StatusBudget): Promise<number> {
  const activities = new Map<string, RunActivity>();
  for (const record of services.acts.active()) {
    const activity = activityOf(record);
    if (activity !== undefined) activities.set(record.order.runName, activity);
  }
  const changed: string[] = [];
  const judge = runJudge((pool) => services.standings.standing(pool));
  for (const entry of services.catalogue.runs.all()) {
    const health = judge(entry);
    if (health.uncertain && entry.state !== "Unwritten") continue;
    const state = stripeStateOf(health.state, activities.get(entry.name));
    if (state === entry.shown && sameNumbers(health.missing, entry.missing)) continue;
    if (budget !== undefined && !budget.tryTake(1)) break;
    changed.push(entry.name);
  }
  for (let next = 0; next < changed.length; next += writesAtOnce) {
    await Promise.all(changed.slice(next, next + writesAtOnce).map((name) => noteHealth(services, name)));
  }
  return changed.length;
}

function sameNumbers(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}
