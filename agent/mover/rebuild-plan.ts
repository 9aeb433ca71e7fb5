/** What a rebuild task asks for, and whether it makes sense. Pure. */
import type { RebuildTask } from "@couchestor/common/api/acts.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";

/** The shards to put again, by stripe, in order of stripes. */
export function rebuildPlan(task: RebuildTask): { stripe: number; targets: ShardLocation[] }[] {
  const { run, targets, only } = task;
  if (only === undefined) {
    return Array.from({ length: run.stripeCount }, (_, i) => ({ stripe: run.firstStripe + i, targets }));
  }
  const byStripe = Map.groupBy(only, (chunk) => chunk.stripe);
  return [...byStripe]
    .sort(([a], [b]) => a - b)
    .map(([stripe, chunks]) => ({
      stripe,
      targets: targets.filter((target) => chunks.some((chunk) => chunk.shardIndex === target.shardIndex)),
    }));
}

/** Refuses a task that contradicts itself. Throws `InvalidArgument` naming the field. */
export function checkRebuildTask(task: RebuildTask): void {
  const { run, targets, only, act } = task;
  const refuse = (field: string, came: unknown, allowed: string): never => {
    throw new AppError("InvalidArgument", `rebuild task: ${field}: got ${came}, allowed: ${allowed}`, {
      data: { field, came, allowed },
    });
  };
  if (run.generation === 0) refuse("run.generation", 0, "1 or more: a run never written has nothing to rebuild");
  const shards = shardCount(run.code);
  const indices = targets.map((target) => target.shardIndex);
  if (indices.some((index) => index >= shards) || new Set(indices).size < indices.length) {
    refuse("targets", `shards ${indices.join(", ")}`, `each of 0 … ${shards - 1} at most once`);
  }
  const foreign = targets.find((target) => target.putEpoch !== act.epoch || target.putAct !== act.actNo);
  if (foreign)
    refuse("targets.putAct", `${foreign.putEpoch}.${foreign.putAct}`, `this act's, ${act.epoch}.${act.actNo}`);
  for (const { stripe, shardIndex } of only ?? []) {
    if (stripe < run.firstStripe || stripe >= run.firstStripe + run.stripeCount || !indices.includes(shardIndex)) {
      refuse("only", `stripe ${stripe} shard ${shardIndex}`, "stripes of the run and shards of the targets");
    }
  }
}
