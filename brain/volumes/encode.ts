/** Import: grants to encode one run, and the commit of what a mover has encoded. */
import type { ActDone, ActDoneAnswer, ActId, EncodeTask } from "@couchestor/common/api/acts.ts";
import { actKey } from "@couchestor/common/api/acts.ts";
import type { EncodeGrant } from "@couchestor/common/api/admin.ts";
import { shardCount } from "@couchestor/common/code/code.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { stripeObjectName } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Mover } from "../acts/act-record.ts";
import { chooseMover } from "../acts/choose-mover.ts";
import { actColumns, supersededColumns } from "../acts/chunk-columns.ts";
import { commitRun } from "./commit.ts";
import { baseOf } from "./commit-rules.ts";
import { addressesOf, descriptorOf } from "./describe.ts";
import { requireUnheld } from "./edited-runs.ts";
import { noteHealth } from "./run-status.ts";
import type { Services } from "./services.ts";
import { chunkBytesOf, locationsOf, type Placed, placeAgain } from "./targets.ts";
import { runCounts, runExtent } from "./volume-rules.ts";

/** Lends a run to a mover for encoding, or says that it is committed with these bytes already. */
export async function grantEncode(
  services: Services,
  volumeName: string,
  request: { runIndex: number; contentSha256?: string | undefined },
): Promise<EncodeGrant> {
  const volume = await importingVolume(services, volumeName);
  const run = await runOf(services, volume, request.runIndex);
  if (isSame(run, request.contentSha256)) return { state: "committed", runIndex: request.runIndex };
  const busy = services.acts.writerOf(run.metadata.name);
  if (busy) {
    if (busy.order.kind !== "encode")
      throw new AppError("Unavailable", `run ${request.runIndex} is being repaired; try again`);
    const answer = await services.acts.drop(busy, "another encode of this run was asked for");
    if (answer.result === "committed") return grantEncode(services, volumeName, request);
  }
  const act = await beginEncode(services, volume, run);
  const { lbaRange } = run.spec;
  return {
    state: "granted",
    runIndex: request.runIndex,
    act: act.id,
    dataUrl: `${act.mover.adminUrl.replace(/\/$/, "")}/v1/acts/${actKey(act.id)}/data`,
    offsetBytes: lbaRange.startBytes,
    contentBytes: lbaRange.endBytes - lbaRange.startBytes,
  };
}

async function beginEncode(services: Services, volume: EcVolume, run: EcStripe): Promise<{ id: ActId; mover: Mover }> {
  const { inventory, cluster, acts, ownership } = services;
  const clusterUuid = cluster.require();
  requireUnheld(services, run);
  const epoch = await ownership.epochOf(volume);
  const placed = placeAgain(services, volume, { ...run.spec, name: run.metadata.name }, []);
  const mover = chooseMover(
    inventory,
    acts,
    new Set(placed.map((p) => p.nodeName)),
    acts.failures.avoided(run.metadata.name).movers,
  );
  const plan: EncodePlan = { volume, run, placed, clusterUuid, mover };
  const record = await acts.begin({
    kind: "encode",
    volumeUuid: volume.spec.volumeUuid,
    epoch,
    runName: run.metadata.name,
    mover,
    chunkBytes: chunkBytesOf(run.spec.code, volume.spec.stripeSizeBytes),
    task: (act) => encodeTask(services, plan, act),
    columns: (act) =>
      actColumns(
        act,
        { ...run.spec, generation: run.spec.generation + 1, encodeEpoch: act.epoch, encodeAct: act.actNo },
        locationsOf(placed, act),
      ),
    commit: (act, done) => commitEncode(services, plan, act, done),
  });
  return { id: record.act, mover };
}

interface EncodePlan {
  volume: EcVolume;
  run: EcStripe;
  placed: Placed[];
  clusterUuid: string;
  mover: Mover;
}

function encodeTask(services: Services, plan: EncodePlan, act: ActId): EncodeTask {
  const { spec } = plan.run;
  return {
    kind: "encode",
    act,
    volume: descriptorOf(plan.volume, plan.clusterUuid),
    nodes: addressesOf(
      services.inventory,
      plan.placed.map((p) => p.poolUuid),
    ),
    code: spec.code,
    firstStripe: spec.firstStripe,
    stripeCount: spec.stripeCount,
    contentBytes: spec.lbaRange.endBytes - spec.lbaRange.startBytes,
    generation: spec.generation + 1,
    throughSeq: 0,
    placementVersion: baseOf(spec).placementVersion + 1,
    targets: locationsOf(plan.placed, act),
  };
}

async function commitEncode(services: Services, plan: EncodePlan, act: ActId, done: ActDone): Promise<ActDoneAnswer> {
  const { spec } = plan.run;
  const chunks = spec.stripeCount * shardCount(spec.code);
  if (done.counts.stripes !== spec.stripeCount || done.counts.chunksPut !== chunks) {
    return {
      result: "dropped",
      reason: `the mover put ${done.counts.chunksPut} chunks of ${done.counts.stripes} stripes, ${chunks} of ${spec.stripeCount} were due`,
    };
  }
  await services.ownership.confirm(plan.volume);
  const outcome = await commitRun(services.context, services.catalogue, plan.run.metadata.name, {
    kind: "encode",
    act,
    base: baseOf(spec),
    generation: spec.generation + 1,
    throughSeq: 0,
    locations: locationsOf(plan.placed, act),
    checksum: done.contentSha256,
  });
  if (outcome.result === "refused") return { result: "dropped", reason: outcome.reason };
  if (outcome.before) {
    const order = { reason: "superseded" as const, orderedBy: { epoch: act.epoch, actNo: act.actNo } };
    services.orders.enqueue(supersededColumns(outcome.before.spec, outcome.run.spec, order));
  }
  await noteHealth(services, outcome.run.metadata.name, act.epoch);
  return { result: "committed" };
}

async function importingVolume(services: Services, name: string): Promise<EcVolume> {
  const volume = await services.catalogue.freshVolume(name);
  const phase = volume.status?.phase;
  if (phase === "Importing") return volume;
  throw new AppError(
    "FailedPrecondition",
    `volume ${name} is ${phase}: only a volume that is Importing takes an import; create another`,
    { data: { volume: name, phase } },
  );
}

async function runOf(services: Services, volume: EcVolume, runIndex: number): Promise<EcStripe> {
  const { runs } = runCounts(volume.spec);
  if (runIndex >= runs) {
    throw new AppError(
      "InvalidArgument",
      `runIndex: got ${runIndex}, volume ${volume.metadata.name} has runs 0 … ${runs - 1}`,
    );
  }
  const extent = runExtent(volume.spec, runIndex);
  const run = await services.catalogue.freshRun(stripeObjectName(volume.metadata.name, extent.firstStripe));
  if (!run || run.spec.volumeUuid !== volume.spec.volumeUuid || run.spec.stripeCount !== extent.stripeCount) {
    throw new AppError(
      "FailedPrecondition",
      `run ${runIndex} of ${volume.metadata.name} was divided by a recovery; it can't be imported again`,
    );
  }
  return run;
}

function isSame(run: EcStripe, contentSha256: string | undefined): boolean {
  return run.spec.generation > 0 && contentSha256 !== undefined && run.spec.checksum === contentSha256;
}
