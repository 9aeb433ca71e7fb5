/**
 * Garbage collection of one pool: everything it lists is compared with the committed versions. A chunk goes only if the committed version, read after
 * older owners were fenced from the run, does not name it, and no act under way may [X2]. Chunks of volumes this brain does not know are counted and
 * left: a lost database must not cost the data.
 */
import type { ChunkInfo, ChunkName, DeleteRequest } from "@couchestor/common/api/chunks.ts";
import { chunksPerRequestMax } from "@couchestor/common/api/chunks.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { fenceRun } from "../volumes/commit.ts";
import type { RunEntry } from "../volumes/run-index.ts";
import { committedCopy, type RunShape, shapeOf } from "../volumes/run-shape.ts";
import type { Services } from "../volumes/services.ts";
import type { Tombstones } from "../volumes/tombstone.ts";

export interface SweepReport {
  chunks: number;
  deleted: number;
  /** Of volumes this brain does not know. */
  foreign: number;
  /** Garbage that must wait: put by an act of this owner that is under way, or by a later owner. */
  left: number;
}

/** Sweeps one pool, a page at a time. Throws when the pool's agent stops answering; what was done is done. */
export async function sweepPool(
  services: Services,
  tombstones: Tombstones,
  poolUuid: string,
  signal: AbortSignal,
): Promise<SweepReport> {
  const { agents } = services.context;
  const report: SweepReport = { chunks: 0, deleted: 0, foreign: 0, left: 0 };
  let after: string | undefined;
  do {
    signal.throwIfAborted();
    const url = must(services.inventory.host(poolUuid)?.node.heartbeat?.clusterUrl, "the pool's agent");
    const page = await agents.listChunks(url, poolUuid, { after, limit: chunksPerRequestMax, verify: false });
    const chunks = page.chunks.map((c) => c.info).filter((info) => info.poolUuid === poolUuid);
    report.chunks += chunks.length;
    for (const [volumeUuid, infos] of Map.groupBy(chunks, (info) => info.volumeUuid)) {
      const garbage = await garbageOf(services, tombstones, poolUuid, volumeUuid, infos, report);
      for (const request of garbage) report.deleted += (await agents.deleteChunks(url, poolUuid, request)).deleted;
    }
    after = page.next;
  } while (after !== undefined);
  return report;
}

async function garbageOf(
  services: Services,
  tombstones: Tombstones,
  poolUuid: string,
  volumeUuid: string,
  infos: ChunkInfo[],
  report: SweepReport,
): Promise<DeleteRequest[]> {
  const stone = tombstones.of(volumeUuid);
  if (stone) return [requestOf(infos, "volume-deleted", stone.spec.epoch)];
  const volume = services.catalogue.volumeByUuid(volumeUuid);
  if (!volume) {
    report.foreign += infos.length;
    return [];
  }
  const runs = services.catalogue.runs.ofVolume(volumeUuid);
  const suspects = infos.filter((info) => {
    const run = runAt(runs, info.stripe);
    if (!run) report.left++;
    return run !== undefined && !isNamed({ ...run, encodeEpoch: -1, encodeAct: -1 }, info, poolUuid, true);
  });
  const requests: DeleteRequest[] = [];
  for (const [run, ofRun] of Map.groupBy(suspects, (info) => must(runAt(runs, info.stripe), "the run"))) {
    const garbage = await decide(services, volume, run.name, ofRun, poolUuid, report);
    if (garbage) requests.push(garbage);
  }
  return requests;
}

/** Fences the run, reads it, and names what is garbage for certain. */
async function decide(
  services: Services,
  volume: EcVolume,
  runName: string,
  suspects: ChunkInfo[],
  poolUuid: string,
  report: SweepReport,
): Promise<DeleteRequest | undefined> {
  const epoch = await services.ownership.epochOf(volume);
  // Looked at before the run is read: an act that is done by now has its commit in what is read.
  const idle = suspects.filter((info) => {
    const act = { volumeUuid: info.volumeUuid, epoch: info.putEpoch, actNo: info.putAct };
    return info.putEpoch < epoch || (info.putEpoch === epoch && !services.acts.isActive(act));
  });
  report.left += suspects.length - idle.length;
  await noteLaterEpochs(services, volume, epoch, suspects);
  if (idle.length === 0) return undefined;
  const run = await fenceRun(services.catalogue, runName, epoch);
  if (!run || run.spec.volumeUuid !== volume.spec.volumeUuid || run.spec.authority !== "store") return undefined;
  const garbage = idle.filter(
    (info) => covers(run, info.stripe) && !isNamed({ ...shapeOf(run.spec), ...run.spec }, info, poolUuid, false),
  );
  return garbage.length > 0 ? requestOf(garbage, "garbage", epoch) : undefined;
}

/** An epoch above ours was in use: the store was put back to an older state. The next owner must start above it [E3]. */
async function noteLaterEpochs(
  services: Services,
  volume: EcVolume,
  epoch: number,
  infos: readonly ChunkInfo[],
): Promise<void> {
  const highest = infos.reduce((max, info) => Math.max(max, info.putEpoch, info.encodeEpoch), 0);
  if (highest <= epoch) return;
  services.context.log.error(
    { volume: volume.metadata.name, epoch, highest },
    "a pool holds chunks of a later owner than this one; was the database restored from a backup? Restart the brain",
  );
  await services.catalogue.swapVolumeStatus(volume.metadata.name, (current) => {
    const status = must(current.status, "the volume's status");
    return (status.highestEpochSeen ?? 0) >= highest ? undefined : { ...status, highestEpochSeen: highest };
  });
}

/** Whether the run's version names this copy. `byPutOnly`: the index lacks the encode act; the put act, used once, tells copies apart as well. */
function isNamed(
  run: RunShape & { encodeEpoch: number; encodeAct: number },
  info: ChunkInfo,
  poolUuid: string,
  byPutOnly: boolean,
): boolean {
  if (run.generation !== info.generation) return false;
  if (!byPutOnly && (run.encodeEpoch !== info.encodeEpoch || run.encodeAct !== info.encodeAct)) return false;
  const copy = committedCopy(run, info.stripe, info.shardIndex);
  return copy?.poolUuid === poolUuid && copy.putEpoch === info.putEpoch && copy.putAct === info.putAct;
}

function covers(run: EcStripe, stripe: number): boolean {
  return stripe >= run.spec.firstStripe && stripe < run.spec.firstStripe + run.spec.stripeCount;
}

function runAt(runs: readonly RunEntry[], stripe: number): RunEntry | undefined {
  let low = 0;
  let high = runs.length - 1;
  while (low <= high) {
    const middle = (low + high) >> 1;
    const run = runs[middle];
    if (!run) return undefined;
    if (stripe < run.firstStripe) high = middle - 1;
    else if (stripe >= run.firstStripe + run.stripeCount) low = middle + 1;
    else return run;
  }
  return undefined;
}

function requestOf(infos: readonly ChunkInfo[], reason: DeleteRequest["reason"], epoch: number): DeleteRequest {
  const names: ChunkName[] = infos.map((i) => ({
    volumeUuid: i.volumeUuid,
    stripe: i.stripe,
    shardIndex: i.shardIndex,
    generation: i.generation,
    encodeEpoch: i.encodeEpoch,
    encodeAct: i.encodeAct,
    putEpoch: i.putEpoch,
    putAct: i.putAct,
  }));
  return { orderedBy: { epoch, actNo: 0 }, reason, names };
}
