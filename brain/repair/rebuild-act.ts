/** One rebuild act: shards of one run put again, committed when the mover has proven that every one of them is there. */
import type { ActDone, ActDoneAnswer, ActId, RebuildTask } from "@couchestor/common/api/acts.ts";
import type { ShardException } from "@couchestor/common/api/maps.ts";
import { type EcStripe, runMapOf } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { ActRecord } from "../acts/act-record.ts";
import { chooseMover } from "../acts/choose-mover.ts";
import { actColumns, supersededColumns } from "../acts/chunk-columns.ts";
import { commitRun } from "../volumes/commit.ts";
import { baseOf, type Commit } from "../volumes/commit-rules.ts";
import { addressesOf, currentNames, descriptorOf } from "../volumes/describe.ts";
import { requireUnheld } from "../volumes/edited-runs.ts";
import { noteHealth } from "../volumes/run-status.ts";
import type { Services } from "../volumes/services.ts";
import { chunkBytesOf, locationsOf, type Placed } from "../volumes/targets.ts";

export interface RebuildPlan {
  volume: EcVolume;
  /** The run as read from the store: its version is the act's base. */
  run: EcStripe;
  /** Where each shard goes. */
  placed: Placed[];
  /** Single chunks; absent: whole columns. At most 256. */
  only?: { stripe: number; shardIndex: number }[];
  bytesPerSecondMax?: number | undefined;
}

/** Hands the rebuild to a mover. `Unavailable` when another act writes to the run. */
export async function beginRebuild(services: Services, plan: RebuildPlan): Promise<ActRecord> {
  const { inventory, cluster, acts, ownership } = services;
  const { run, volume } = plan;
  const clusterUuid = cluster.require();
  requireUnheld(services, run);
  const epoch = await ownership.epochOf(volume);
  if (acts.writerOf(run.metadata.name))
    throw new AppError("Unavailable", `${run.metadata.name}: another act writes to it`);
  const survivors = run.spec.placements.at(-1)?.shardLocations ?? [];
  const near = new Set([...plan.placed, ...currentNames(inventory, survivors)].map((l) => l.nodeName));
  return acts.begin({
    kind: "rebuild",
    volumeUuid: volume.spec.volumeUuid,
    epoch,
    runName: run.metadata.name,
    mover: chooseMover(inventory, acts, near, acts.failures.avoided(run.metadata.name).movers),
    chunkBytes: chunkBytesOf(run.spec.code, volume.spec.stripeSizeBytes),
    task: (act) => rebuildTask(services, plan, act, clusterUuid),
    columns: (act) => actColumns(act, run.spec, locationsOf(plan.placed, act), plan.only),
    commit: (act, done) => commitRebuild(services, plan, act, done),
  });
}

function rebuildTask(services: Services, plan: RebuildPlan, act: ActId, clusterUuid: string): RebuildTask {
  const { inventory } = services;
  const map = runMapOf(plan.run.spec);
  const pools = [...map.shardLocations, ...map.exceptions, ...plan.placed].map((l) => l.poolUuid);
  return {
    kind: "rebuild",
    act,
    volume: descriptorOf(plan.volume, clusterUuid),
    nodes: addressesOf(inventory, pools),
    ...(plan.bytesPerSecondMax === undefined ? {} : { bytesPerSecondMax: plan.bytesPerSecondMax }),
    run: { ...map, shardLocations: currentNames(inventory, map.shardLocations) },
    placementVersion: map.placementVersion + 1,
    targets: locationsOf(plan.placed, act),
    ...(plan.only ? { only: plan.only } : {}),
  };
}

async function commitRebuild(services: Services, plan: RebuildPlan, act: ActId, done: ActDone): Promise<ActDoneAnswer> {
  const { spec } = plan.run;
  const due = plan.only ? plan.only.length : plan.placed.length * spec.stripeCount;
  const stripesDue = plan.only ? new Set(plan.only.map((o) => o.stripe)).size : spec.stripeCount;
  if (done.counts.chunksPut !== due || done.counts.stripes !== stripesDue) {
    return {
      result: "dropped",
      reason: `the mover put ${done.counts.chunksPut} chunks of ${done.counts.stripes} stripes, ${due} of ${stripesDue} were due`,
    };
  }
  await services.ownership.confirm(plan.volume);
  const outcome = await commitRun(services.context, services.catalogue, plan.run.metadata.name, commitOf(plan, act));
  if (outcome.result === "refused") return { result: "dropped", reason: outcome.reason };
  if (outcome.before) {
    const order = { reason: "superseded" as const, orderedBy: { epoch: act.epoch, actNo: act.actNo } };
    services.orders.enqueue(supersededColumns(outcome.before.spec, outcome.run.spec, order));
  }
  await noteHealth(services, plan.run.metadata.name, act.epoch);
  return { result: "committed" };
}

function commitOf(plan: RebuildPlan, act: ActId): Commit {
  const locations = locationsOf(plan.placed, act);
  const base = baseOf(plan.run.spec);
  if (!plan.only) return { kind: "columns", act, base, locations };
  const exceptions: ShardException[] = plan.only.flatMap(({ stripe, shardIndex }) => {
    const target = locations.find((l) => l.shardIndex === shardIndex);
    if (!target) return [];
    const { poolUuid, putEpoch, putAct } = target;
    return [{ stripe, shardIndex, poolUuid, putEpoch, putAct, present: true }];
  });
  return { kind: "chunks", act, base, exceptions };
}
