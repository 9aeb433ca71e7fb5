/** One step of repair for one run: looks at the store's current object, and rebuilds what it can. */
import { currentPlacement, type EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ActRecord } from "../acts/act-record.ts";
import { judgeRun, type RunHealth, shapeOf } from "../volumes/run-shape.ts";
import type { Services } from "../volumes/services.ts";
import { type Placed, placeAgain } from "../volumes/targets.ts";
import { planChunkRepair } from "./chunk-repair.ts";
import { beginRebuild } from "./rebuild-act.ts";

export type RepairStep =
  | { what: "nothing" }
  | { what: "blocked"; reason: string }
  | { what: "started"; record: ActRecord /** Shards that found no room. */; partial: string | undefined };

/** The store's current object of a run, and how it stands; the step instead where there is nothing to do, or not yet. */
export async function judgeCandidate(
  { catalogue, standings }: Services,
  { name, volumeUuid }: { name: string; volumeUuid: string },
): Promise<{ volume: EcVolume; run: EcStripe; health: RunHealth } | Exclude<RepairStep, { what: "started" }>> {
  const volume = catalogue.volumeByUuid(volumeUuid);
  const run = await catalogue.freshRun(name);
  if (!volume || !run || volume.status?.phase === "Deleting" || run.spec.authority !== "store")
    return { what: "nothing" };
  const health = judgeRun(shapeOf(run.spec), (pool) => standings.standing(pool));
  if (health.uncertain) return { what: "blocked", reason: "not all pools have been heard since the brain started" };
  return { volume, run, health };
}

export async function repairStep(
  services: Services,
  candidate: { name: string; volumeUuid: string },
  bytesPerSecondMax: number | undefined,
): Promise<RepairStep> {
  const judged = await judgeCandidate(services, candidate);
  if ("what" in judged) return judged;
  const { volume, run, health } = judged;
  if (health.state === "Unrecoverable") return { what: "blocked", reason: unrecoverableReason(services, run, health) };
  if (health.lostColumns.length > 0) return repairColumns(services, volume, run, health, bytesPerSecondMax);
  const plan = planChunkRepair(run.spec, health.lostChunks, (pool) => services.standings.standing(pool));
  if (!plan) return { what: "nothing" };
  const { placed, only } = plan;
  const record = await beginRebuild(services, { volume, run, placed, bytesPerSecondMax, ...(only ? { only } : {}) });
  return { what: "started", record, partial: undefined };
}

async function repairColumns(
  services: Services,
  volume: EcVolume,
  run: EcStripe,
  health: RunHealth,
  bytesPerSecondMax: number | undefined,
): Promise<RepairStep> {
  const found = placeAsManyAsFit(services, volume, run, health.lostColumns);
  if (found.placed.length === 0) return { what: "blocked", reason: found.reason ?? "no room" };
  const record = await beginRebuild(services, { volume, run, placed: found.placed, bytesPerSecondMax });
  return { what: "started", record, partial: found.reason };
}

/** Places all lost columns, or as many as there is room for: each one put back is one more loss the run bears. */
function placeAsManyAsFit(
  services: Services,
  volume: EcVolume,
  run: EcStripe,
  lost: readonly number[],
): { placed: Placed[]; reason: string | undefined } {
  const locations = currentPlacement(run.spec)?.shardLocations ?? [];
  const at = { ...run.spec, name: run.metadata.name };
  let reason: string | undefined;
  const keep = locations.filter((l) => !lost.includes(l.shardIndex));
  for (let count = lost.length; count > 0; count--) {
    try {
      return { placed: placeAgain(services, volume, at, keep, lost.slice(0, count)), reason };
    } catch (error) {
      if (!isAppError(error)) throw error;
      reason ??= error.message;
    }
  }
  return { placed: [], reason };
}

/** Which pools a run that can't be read misses. */
export function unrecoverableReason(services: Services, run: EcStripe, health: Pick<RunHealth, "missing">): string {
  const locations = currentPlacement(run.spec)?.shardLocations ?? [];
  const missed = health.missing.map((shard) => {
    const l = locations.find((x) => x.shardIndex === shard);
    return l
      ? `${l.nodeName}/${l.poolName} (shard ${shard}: ${services.standings.why(l.poolUuid)})`
      : `shard ${shard}: no pool is known to hold it`;
  });
  const { firstStripe, stripeCount } = run.spec;
  return `stripes ${firstStripe}–${firstStripe + stripeCount - 1} can't be reconstructed; missing are ${missed.join(", ")}`;
}
