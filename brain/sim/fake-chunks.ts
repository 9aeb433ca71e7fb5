/** The chunks that an act's task asks for, as a mover would put them. */
import type { EncodeTask, RebuildTask } from "@couchestor/common/api/acts.ts";
import type { ChunkInfo, ChunkName } from "@couchestor/common/api/chunks.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";

export function nameOf(n: ChunkName): string {
  return [
    n.volumeUuid,
    String(n.stripe).padStart(8, "0"),
    n.shardIndex,
    n.generation,
    n.encodeEpoch,
    n.encodeAct,
    n.putEpoch,
    n.putAct,
  ].join("/");
}

export function* encodePuts(task: EncodeTask): Generator<{ target: ShardLocation; info: ChunkInfo }> {
  for (let stripe = task.firstStripe; stripe < task.firstStripe + task.stripeCount; stripe++) {
    for (const target of task.targets) {
      const encoding = { generation: task.generation, encodeEpoch: task.act.epoch, encodeAct: task.act.actNo };
      yield { target, info: infoOf(task, task.code, stripe, target, encoding) };
    }
  }
}

export function* rebuildPuts(task: RebuildTask): Generator<{ target: ShardLocation; info: ChunkInfo }> {
  const { run, only } = task;
  for (let stripe = run.firstStripe; stripe < run.firstStripe + run.stripeCount; stripe++) {
    for (const target of task.targets) {
      if (only && !only.some((o) => o.stripe === stripe && o.shardIndex === target.shardIndex)) continue;
      yield { target, info: infoOf(task, run.code, stripe, target, run) };
    }
  }
}

function infoOf(
  task: EncodeTask | RebuildTask,
  code: EncodeTask["code"],
  stripe: number,
  target: ShardLocation,
  encoding: { generation: number; encodeEpoch: number; encodeAct: number },
): ChunkInfo {
  const { volume } = task;
  const { generation, encodeEpoch, encodeAct } = encoding;
  return {
    volumeUuid: volume.volumeUuid,
    stripe,
    shardIndex: target.shardIndex,
    generation,
    encodeEpoch,
    encodeAct,
    putEpoch: target.putEpoch,
    putAct: target.putAct,
    clusterUuid: volume.clusterUuid,
    journalId: volume.journalId,
    poolUuid: target.poolUuid,
    originVolumeUuid: zeroUuid,
    throughSeq: 0,
    placementVersion: task.placementVersion,
    code,
    matrixId: 1,
    stripeBytes: volume.stripeSizeBytes,
    shardBytes: 4096,
    storedBytes: 4096,
    stripeDigest: 0,
    tableCrc: 0,
    volumeName: volume.name,
    volumeSizeBytes: volume.sizeBytes,
    stripesPerRun: volume.stripesPerRun,
    policyStripeBytes: volume.stripeSizeBytes,
  };
}
