/** What a new volume must look like, and its division into runs. Pure. */
import type { CreateVolume } from "@couchestor/common/api/admin.ts";
import { blockBytes, dataShards, shardCount } from "@couchestor/common/code/code.ts";
import type { EcStripe, EcStripeSpec } from "@couchestor/common/crd/ec-stripe.ts";
import { ecStripeKind, stripeObjectName } from "@couchestor/common/crd/ec-stripe.ts";
import {
  type EcVolume,
  type EcVolumeSpec,
  ecVolumeKind,
  stripeSizeBytesMax,
  stripeSizeBytesMin,
  stripesPerRunMax,
  volumeSizeBytesMax,
} from "@couchestor/common/crd/ec-volume.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";

export const stripeSizeBytesDefault = 1024 * 1024;
export const stripesPerRunMin = 16;
const runsWanted = 64;
/** Objects of one volume; a larger volume needs longer runs or stripes. */
export const runsPerVolumeMax = 65_536;
/** Whether an import follows, so that a brain that stopped while it made the runs can finish. */
export const importingAnnotation = "storage.billyronks.io/importing";
/** On a volume rebuilt from the disks: the highest epoch that was found on them. */
export const recoveredAnnotation = "storage.billyronks.io/recovered-through-epoch";

/** Acts up to this epoch are from before the volume was rebuilt from the disks; −1 if it never was. */
export function recoveredEpoch(volume: EcVolume): number {
  return Number(volume.metadata.annotations?.[recoveredAnnotation] ?? -1);
}

/** The volume's spec with all defaults. Throws `InvalidArgument` naming the field, what came and what is allowed. */
export function volumeSpecOf(request: CreateVolume, volumeUuid: string): EcVolumeSpec {
  const stripeSizeBytes = request.stripeSizeBytes ?? stripeSizeBytesDefault;
  within("sizeBytes", request.sizeBytes, 1, volumeSizeBytesMax);
  within("stripeSizeBytes", stripeSizeBytes, stripeSizeBytesMin, stripeSizeBytesMax);
  if (stripeSizeBytes % blockBytes !== 0) invalid("stripeSizeBytes", stripeSizeBytes, `a multiple of ${blockBytes}`);
  const shards = shardCount(request.code);
  if (shards > 48) invalid("code", shards, "at most 48 shards in all");
  if (stripeSizeBytes < dataShards(request.code) * blockBytes && request.stripeSizeBytes === undefined) {
    invalid("stripeSizeBytes", stripeSizeBytes, `at least ${dataShards(request.code) * blockBytes} for this code`);
  }
  const stripesPerRun = request.stripesPerRun ?? defaultStripesPerRun(request.sizeBytes, stripeSizeBytes);
  within("stripesPerRun", stripesPerRun, 1, stripesPerRunMax);
  const runs = Math.ceil(Math.ceil(request.sizeBytes / stripeSizeBytes) / stripesPerRun);
  if (runs > runsPerVolumeMax) {
    invalid(
      "stripesPerRun",
      stripesPerRun,
      `such that the volume has at most ${runsPerVolumeMax} runs (now ${runs}); take longer runs or a greater stripeSizeBytes`,
    );
  }
  return {
    volumeUuid,
    sizeBytes: request.sizeBytes,
    blockSizeBytes: 4096,
    stripeSizeBytes,
    stripesPerRun,
    code: request.code,
    placement: request.placement ?? { failureDomain: "node", poolSelector: {} },
    journal: { replicationFactor: 3, sizeBytes: 1024 ** 3 },
    lease: { milliseconds: 3000, driftPercent: 10 },
    readMode: "lease",
  };
}

/** About 64 runs, as a power of two between 16 and 1,024 stripes. */
export function defaultStripesPerRun(sizeBytes: number, stripeSizeBytes: number): number {
  const perRun = Math.ceil(sizeBytes / stripeSizeBytes) / runsWanted;
  const power = 2 ** Math.ceil(Math.log2(Math.max(1, perRun)));
  return Math.min(stripesPerRunMax, Math.max(stripesPerRunMin, power));
}

/** The new volume's object: nobody owns it yet, and its journal has an identity but no replicas. */
export function newVolume(request: CreateVolume, spec: EcVolumeSpec, journalId: string, zero: string): EcVolume {
  return {
    apiVersion,
    kind: ecVolumeKind.kind,
    metadata: { name: request.name, annotations: { [importingAnnotation]: String(request.importing) } },
    spec,
    status: {
      phase: "Empty",
      ownership: {
        owner: { kind: "none", nodeName: "", instanceUuid: zero, epoch: 0 },
        journal: { journalId, ensembleId: 0, members: [], changedInEpoch: 0 },
      },
    },
  };
}

/** How many stripes and runs a volume has. */
export function runCounts(spec: EcVolumeSpec): { stripes: number; runs: number } {
  const stripes = Math.ceil(spec.sizeBytes / spec.stripeSizeBytes);
  return { stripes, runs: Math.ceil(stripes / spec.stripesPerRun) };
}

/** The stripes and bytes of run `runIndex` as the volume was divided at first. */
export function runExtent(
  spec: EcVolumeSpec,
  runIndex: number,
): { firstStripe: number; stripeCount: number } & ByteRange {
  const { stripes } = runCounts(spec);
  const firstStripe = runIndex * spec.stripesPerRun;
  const stripeCount = Math.min(spec.stripesPerRun, stripes - firstStripe);
  return { firstStripe, stripeCount, ...bytesOf(spec, firstStripe, stripeCount) };
}

export interface ByteRange {
  startBytes: number;
  endBytes: number;
}

/** The bytes that these stripes cover; the volume's last stripe may be short. */
export function bytesOf(
  spec: Pick<EcVolumeSpec, "sizeBytes" | "stripeSizeBytes">,
  firstStripe: number,
  stripeCount: number,
): ByteRange {
  return {
    startBytes: firstStripe * spec.stripeSizeBytes,
    endBytes: Math.min(spec.sizeBytes, (firstStripe + stripeCount) * spec.stripeSizeBytes),
  };
}

/** A run that was never written: generation 0, reads as zeros. */
export function newRun(volume: EcVolume, runIndex: number): EcStripe {
  const extent = runExtent(volume.spec, runIndex);
  return runObject(volume, {
    ...unwritten(volume, extent.firstStripe, extent.stripeCount),
  });
}

/** The spec of stripes never written. */
export function unwritten(volume: EcVolume, firstStripe: number, stripeCount: number): EcStripeSpec {
  const { startBytes, endBytes } = bytesOf(volume.spec, firstStripe, stripeCount);
  return {
    volumeRef: volume.metadata.name,
    volumeUuid: volume.spec.volumeUuid,
    journalId: volume.status?.ownership.journal.journalId ?? "",
    stripeId: firstStripe,
    firstStripe,
    stripeCount,
    lbaRange: { startBytes, endBytes },
    authority: "store",
    fencedEpoch: 0,
    generation: 0,
    encodeEpoch: 0,
    encodeAct: 0,
    throughSeq: 0,
    code: volume.spec.code,
    placements: [],
    exceptions: [],
  };
}

/** An ECStripe object of `spec`, not yet stored. */
export function runObject(volume: EcVolume, spec: EcStripeSpec): EcStripe {
  return {
    apiVersion,
    kind: ecStripeKind.kind,
    metadata: { name: stripeObjectName(volume.metadata.name, spec.firstStripe) },
    spec,
    status: { state: "Unwritten", missingShards: [], observedEpoch: 0, observedSeq: 0 },
  };
}

function within(field: string, got: number, min: number, max: number): void {
  if (!Number.isSafeInteger(got) || got < min || got > max) invalid(field, got, `${min} … ${max}`);
}

function invalid(field: string, got: unknown, allowed: string): never {
  throw new AppError("InvalidArgument", `${field}: got ${String(got)}, allowed is ${allowed}`, {
    data: { field, got, allowed },
  });
}
