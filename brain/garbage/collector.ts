/**
 * Garbage collection of one pool: everything it lists is compared with the committed versions. A chunk goes only if the committed version, read after
 * older owners were fenced from the run, does not name it, no act under way may [X2], and it is proven that it is not needed (`proof.ts`). Chunks of volumes this brain does not know are counted and
 * left: a lost database must not cost the data.
 */
import type { ChunkInfo, ChunkName, DeleteRequest } from "@couchestor/common/api/chunks.ts";
import { chunksPerRequestMax } from "@couchestor/common/api/chunks.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { fenceRun } from "../volumes/commit.ts";
import type { RunEntry } from "../volumes/run-entry.ts";
import { committedCopy, type RunShape, shapeOf } from "../volumes/run-shape.ts";
import type { Services } from "../volumes/services.ts";
import type { Tombstones } from "../volumes/tombstone.ts";
import { recoveredEpoch } from "../volumes/volume-rules.ts";
import { isOfVersion, provenGarbage } from "./proof.ts";

export interface SweepReport {
  chunks: number;
  deleted: number;
  /** Of volumes this brain does not know. */
  foreign: number;
  /** What must wait: put by an act of this owner that is under way, by a later owner, or before a recovery while a node is away. */
  left: number;
  /** Not named by the committed version, but kept because it is not proven that nobody needs it. */
  unproven: number;
}

interface Sweep {
  services: Services;
  tombstones: Tombstones;
  poolUuid: string;
  report: SweepReport;
  signal: AbortSignal;
}

/** Sweeps one pool, a page at a time. Throws when the pool's agent stops answering; what was done is done. */
export async function sweepPool(
  services: Services,
  tombstones: Tombstones,
  poolUuid: string,
  signal: AbortSignal,
): Promise<SweepReport> {
  const { agents } = services.context;
  const report: SweepReport = { chunks: 0, deleted: 0, foreign: 0, left: 0, unproven: 0 };
  const sweep: Sweep = { services, tombstones, poolUuid, report, signal };
  let after: string | undefined;
  do {
    signal.throwIfAborted();
    const url = must(services.inventory.host(poolUuid)?.node.heartbeat?.clusterUrl, "the pool's agent");
    const page = await agents.listChunks(url, poolUuid, { after, limit: chunksPerRequestMax, verify: false });
    const chunks = page.chunks.map((c) => c.info).filter((info) => info.poolUuid === poolUuid);
    report.chunks += chunks.length;
    for (const [volumeUuid, infos] of Map.groupBy(chunks, (info) => info.volumeUuid)) {
      const garbage = await garbageOf(sweep, volumeUuid, infos);
      for (const request of garbage) report.deleted += (await agents.deleteChunks(url, poolUuid, request)).deleted;
    }
    after = page.next;
  } while (after !== undefined);
  return report;
}

async function garbageOf(sweep: Sweep, volumeUuid: string, infos: ChunkInfo[]): Promise<DeleteRequest[]> {
  const { services, tombstones, poolUuid, report } = sweep;
  const stone = tombstones.of(volumeUuid);
  const volume = services.catalogue.volumeByUuid(volumeUuid);
  if (stone && volume && volume.status?.phase !== "Deleting") {
    report.left += infos.length;
    services.context.log.error(
      { volume: volume.metadata.name, volumeUuid },
      "there is a tombstone of a volume that is not being deleted; nothing is removed. Delete one of the two objects",
    );
    return [];
  }
  if (stone) return [requestOf(infos, "volume-deleted", stone.spec.epoch)];
  if (!volume) {
    report.foreign += infos.length;
    return [];
  }
  const runs = services.catalogue.runs.ofVolume(volumeUuid);
  const suspects = infos.filter((info) => {
    const run = runAt(runs, info.stripe);
    if (!run) report.left++;
    return run !== undefined && !isNamed(run, info, poolUuid);
  });
  const requests: DeleteRequest[] = [];
  for (const [run, ofRun] of Map.groupBy(suspects, (info) => must(runAt(runs, info.stripe), "the run"))) {
    const garbage = await decide(sweep, volume, run.name, ofRun);
    if (garbage) requests.push(garbage);
  }
  return requests;
}

/** Fences the run, reads it, and names what is garbage for certain. */
async function decide(
  { services, poolUuid, report, signal }: Sweep,
  volume: EcVolume,
  runName: string,
  suspects: ChunkInfo[],
): Promise<DeleteRequest | undefined> {
  const held = () => services.catalogue.whyHeld(volume.spec.volumeUuid, runName) !== undefined;
  if (held()) {
    report.left += suspects.length;
    return undefined;
  }
  const epoch = await services.ownership.epochOf(volume);
  if (await noteLaterEpochs(services, volume, epoch, suspects)) {
    report.left += suspects.length;
    return undefined;
  }
  // Looked at before the run is fenced and read: the commit of an act that is over by now is in what is read, or it never lands.
  const idle = suspects.filter((info) => {
    const act = { volumeUuid: info.volumeUuid, epoch: info.putEpoch, actNo: info.putAct };
    return !services.acts.isActive(act) && mayJudge(services, volume, info);
  });
  report.left += suspects.length - idle.length;
  if (idle.length === 0) return undefined;
  const ofThisEpoch = idle.some((info) => info.putEpoch === epoch);
  const run = await fenceRun(services.catalogue, runName, epoch, ofThisEpoch);
  if (!run || run.spec.volumeUuid !== volume.spec.volumeUuid || run.spec.authority !== "store") return undefined;
  const { encodeEpoch, encodeAct } = run.spec;
  const committed = { ...shapeOf(run.spec), encodeEpoch, encodeAct };
  const unnamed = idle.filter((info) => covers(run, info.stripe) && !isNamed(committed, info, poolUuid));
  const allowed = unnamed.filter((info) => info.putEpoch > recoveredEpoch(volume) || isOfVersion(run, info));
  const garbage = await provenGarbage(services, volume, run, allowed, signal);
  report.unproven += unnamed.length - garbage.length;
  // Read anew by the fence, and followed while chunks were read: what is known now counts.
  if (held()) {
    report.left += garbage.length;
    return undefined;
  }
  return garbage.length > 0 ? requestOf(garbage, "garbage", epoch) : undefined;
}

/** What was put before a recovery from the disks is not judged until every known node is there: one that is away may hold what the recovery missed. */
function mayJudge({ inventory }: Services, volume: EcVolume, info: ChunkInfo): boolean {
  return info.putEpoch > recoveredEpoch(volume) || [...inventory.nodes()].every((node) => node.state === "Online");
}

/**
 * An epoch above ours was in use: the store was put back to an older state. This brain goes on above it [E3]; whether the chunks are garbage is left to the
 * next sweep.
 */
async function noteLaterEpochs(
  services: Services,
  volume: EcVolume,
  epoch: number,
  infos: readonly ChunkInfo[],
): Promise<boolean> {
  const highest = infos.reduce((max, info) => Math.max(max, info.putEpoch, info.encodeEpoch), 0);
  if (highest <= epoch) return false;
  const now = await services.ownership.raiseAbove(volume, highest);
  services.context.log.error(
    { volume: volume.metadata.name, epoch, highest, now },
    "a pool holds chunks of a later owner than this one: the database was put back to an older state, and what was written since is not in it. Check the volume",
  );
  return true;
}

/** Whether the run's version names this copy. */
function isNamed(
  run: RunShape & { encodeEpoch: number; encodeAct: number },
  info: ChunkInfo,
  poolUuid: string,
): boolean {
  if (run.generation !== info.generation) return false;
  if (run.encodeEpoch !== info.encodeEpoch || run.encodeAct !== info.encodeAct) return false;
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
