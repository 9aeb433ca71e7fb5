/**
 * One step of an evacuation for one run: shards on failing pools are put elsewhere by the rebuild that repair uses. They are decoded from the others and not
 * read from the failing device; the old copies are deleted by name only when the new ones are durable, read back and committed.
 */
import { currentPlacement } from "@couchestor/common/crd/ec-stripe.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { beginRebuild } from "../repair/rebuild-act.ts";
import { judgeCandidate, type RepairStep } from "../repair/repair-run.ts";
import { shapeOf } from "../volumes/run-shape.ts";
import type { Services } from "../volumes/services.ts";
import { type Placed, placeAgain } from "../volumes/targets.ts";
import { poolsOfShards } from "./evacuation-plan.ts";

/** Moves as many of the run's shards as can be decoded without those that move. */
export async function evacuationStep(
  services: Services,
  candidate: { name: string; volumeUuid: string },
  failing: ReadonlySet<string>,
  bytesPerSecondMax: number | undefined,
): Promise<RepairStep> {
  const judged = await judgeCandidate(services, candidate);
  if ("what" in judged) return judged;
  const { volume, run, health } = judged;
  const leaving = [...poolsOfShards(shapeOf(run.spec), failing).keys()].filter(
    (shard) => !health.missing.includes(shard),
  );
  if (leaving.length === 0 || health.lostColumns.length + health.lostChunks.length > 0) return { what: "nothing" };
  if (health.spare < 1) {
    return { what: "blocked", reason: "too many of its shards are away; it moves when they return or are rebuilt" };
  }
  const locations = currentPlacement(run.spec)?.shardLocations ?? [];
  const at = { ...run.spec, name: run.metadata.name };
  let reason: string | undefined;
  for (let count = Math.min(leaving.length, health.spare); count > 0; count--) {
    const moving = leaving.slice(0, count);
    const keep = locations.filter((l) => !moving.includes(l.shardIndex));
    let placed: Placed[];
    try {
      placed = placeAgain(services, volume, at, keep, moving, { never: failing });
    } catch (error) {
      if (!isAppError(error)) throw error;
      reason ??= error.message;
      continue;
    }
    const record = await beginRebuild(services, { volume, run, placed, bytesPerSecondMax });
    return { what: "started", record, partial: reason };
  }
  return { what: "blocked", reason: reason ?? "no room" };
}
