/** ECStripe status: what is observed of a run, written on transitions only. */

import type { EcStripe, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
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
  const judged =
    health.uncertain && old.state !== "Unwritten" ? old : { state: health.state, missingShards: health.missing };
  const same = judged.state === old.state && judged.missingShards.join() === old.missingShards.join();
  if (same && !checked) return undefined;
  const now = isoNow(services.context.clock);
  return {
    ...old,
    state: judged.state,
    missingShards: judged.missingShards,
    observedEpoch: Math.max(old.observedEpoch, epoch ?? run.spec.fencedEpoch),
    ...(checked ? { lastScrub: now } : {}),
    ...(checked?.deep ? { lastAudit: now } : {}),
  };
}

const writesAtOnce = 32;

/** Brings every run's status in line with its pools. Returns how many changed. */
export async function observeAll(services: Services): Promise<number> {
  const changed: string[] = [];
  for (const entry of services.catalogue.runs.all()) {
    const health = judgeRun(entry, (pool) => services.standings.standing(pool));
    if (health.uncertain && entry.state !== "Unwritten") continue;
    if (health.state !== entry.state || health.missing.join() !== entry.missing.join()) changed.push(entry.name);
  }
  for (let next = 0; next < changed.length; next += writesAtOnce) {
    await Promise.all(changed.slice(next, next + writesAtOnce).map((name) => noteHealth(services, name)));
  }
  return changed.length;
}
