/** How what others write goes into the indexes of volumes and runs, and what of it a person is told. */
import type { EcStripeSpec, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume, EcVolumeSpec, EcVolumeStatus } from "@couchestor/common/crd/ec-volume.ts";
import type { Log } from "../ports.ts";
import type { View } from "./follower.ts";
import { type RunIndex, revisionOf } from "./run-index.ts";
import type { VolumeIndex } from "./volume-index.ts";

/** One without a status is being created, or somebody's own: there is nothing of it yet. */
export function volumeView(volumes: VolumeIndex, log: Log): View<EcVolumeSpec, EcVolumeStatus> {
  const lose = (known: EcVolume, why: string) => {
    volumes.remove(known);
    if (known.status?.phase === "Deleting") return;
    log.error(
      { volume: known.metadata.name, volumeUuid: known.spec.volumeUuid },
      `${why}: nothing of its data is removed, and none of it can be read until the object is put back`,
    );
  };
  return {
    newest: () => volumes.newest,
    put: (volume, storeWentBack) => {
      if (volume.status === undefined) return;
      const before = volumes.whyHeld(volume.spec.volumeUuid);
      volumes.put(volume, storeWentBack);
      const held = volumes.whyHeld(volume.spec.volumeUuid);
      if (held === before) return;
      const fields = { volume: volume.metadata.name, volumeUuid: volume.spec.volumeUuid };
      if (held === undefined) log.info(fields, "the ECVolume was put back to what it was; it is used again");
      else log.error(fields, `${held}, by hand: nothing is written to or removed of the volume until it is put back`);
    },
    gone: (volume) => {
      const known = volumes.byUuid(volume.spec.volumeUuid);
      if (known !== undefined && !(revisionOf(known) > revisionOf(volume)))
        lose(known, "an ECVolume was deleted by hand");
    },
    listedAgain: (names, revision) => {
      for (const name of [...volumes.names()]) {
        const known = volumes.byName(name);
        if (known === undefined || names.has(name) || revisionOf(known) > revision) continue;
        lose(known, "an ECVolume is not there any more");
      }
    },
    unreadable: (name, error) => {
      const known = volumes.byName(name);
      if (known !== undefined) lose(known, error.message);
      else log.error({ volume: name }, error.message);
    },
  };
}

export function runView(runs: RunIndex, volumes: VolumeIndex, log: Log): View<EcStripeSpec, EcStripeStatus> {
  const lose = (volumeUuid: string, name: string, why: string) => {
    const known = runs.get(volumeUuid, name);
    if (known === undefined) return;
    runs.lose(volumeUuid, name);
    const volume = volumes.byUuid(volumeUuid);
    if (volume === undefined || volume.status?.phase === "Deleting" || known.generation === 0) return;
    log.error(
      { run: name, volume: known.volumeName },
      `${why}: nothing of its data is removed, and none of it can be read until the object is put back`,
    );
  };
  return {
    newest: () => runs.newest,
    put: (run, storeWentBack) => void runs.apply(run, storeWentBack),
    gone: (run) => {
      const known = runs.get(run.spec.volumeUuid, run.metadata.name);
      if (known === undefined || known.revision > revisionOf(run)) return;
      lose(run.spec.volumeUuid, run.metadata.name, "an ECStripe was deleted by hand");
    },
    listedAgain: (names, revision) => {
      for (const { name, volumeUuid, revision: mine } of [...runs.all()]) {
        if (!names.has(name) && !(mine > revision)) lose(volumeUuid, name, "an ECStripe is not there any more");
      }
    },
    unreadable: (name, error) => {
      log.error({ run: name }, error.message);
      runs.forget(name);
    },
  };
}
