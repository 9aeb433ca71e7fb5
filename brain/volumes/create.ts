/** Creation of a volume: its object first (it takes the name), then all its runs, and only then a phase in which it is used. */
import type { CreateVolume } from "@couchestor/common/api/admin.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import type { Services } from "./services.ts";
import { placeRun, topologyOf } from "./targets.ts";
import { importingAnnotation, newRun, newVolume, runCounts, runExtent, volumeSpecOf } from "./volume-rules.ts";

const runsAtOnce = 64;

/**
 * Creates a volume. Throws `InvalidArgument` (field, what came, what is allowed), `AlreadyExists`, or `FailedPrecondition` when there are too few pools or
 * domains for its code, or no cluster.
 */
export async function createVolume(services: Services, request: CreateVolume): Promise<EcVolume> {
  const { context, catalogue, cluster, inventory } = services;
  const spec = volumeSpecOf(request, context.prng.uuid());
  const clusterUuid = cluster.require();
  const volume = newVolume(request, spec, context.prng.uuid(), zeroUuid);
  placeRun(
    topologyOf(inventory, services.acts.reservations, clusterUuid),
    volume,
    { ...runExtent(spec, 0), code: spec.code },
    [],
  );
  const created = await catalogue.createVolume(volume);
  context.log.info({ volume: request.name, volumeUuid: spec.volumeUuid, sizeBytes: spec.sizeBytes }, "volume created");
  return finishCreation(services, created);
}

/**
 * Makes the runs that are missing and opens the volume for use. Also what a brain does with a volume that is still `Empty` later on. Throws
 * `FailedPrecondition` when the volume is deleted meanwhile; what was made is removed again. Throws the signal's reason when that aborts.
 */
export async function finishCreation(services: Services, volume: EcVolume, signal?: AbortSignal): Promise<EcVolume> {
  const { catalogue } = services;
  const { runs } = runCounts(volume.spec);
  const there = new Set(await catalogue.mapFreshRuns(volume, (run) => run.spec.firstStripe));
  for (let next = 0; next < runs; next += runsAtOnce) {
    signal?.throwIfAborted();
    await requireStillCreating(services, volume);
    const batch = Array.from({ length: Math.min(runsAtOnce, runs - next) }, (_, i) => newRun(volume, next + i));
    await Promise.all(batch.filter((run) => !there.has(run.spec.firstStripe)).map((run) => catalogue.ensureRun(run)));
  }
  // The deletion lists the runs before it removes the volume: what came later than its last look is seen here.
  await requireStillCreating(services, volume);
  const phase = volume.metadata.annotations?.[importingAnnotation] === "true" ? "Importing" : "Ready";
  return catalogue.swapVolumeStatus(volume.metadata.name, (current) => {
    const status = must(current.status, "the volume's status");
    return status.phase === "Empty" ? { ...status, phase } : undefined;
  });
}

async function requireStillCreating({ catalogue }: Services, volume: EcVolume): Promise<void> {
  const { name } = volume.metadata;
  const current = await catalogue.freshVolume(name).catch((error) => {
    if (!isAppError(error, "NotFound")) throw error;
    return undefined;
  });
  const same = current?.spec.volumeUuid === volume.spec.volumeUuid;
  if (same && current.status?.phase !== "Deleting") return;
  if (!same) for (const run of await catalogue.freshRuns(volume)) await catalogue.removeRun(run);
  throw new AppError("FailedPrecondition", `volume ${name} was deleted while it was being created`, {
    data: { volume: name },
  });
}
