/** One scrub act: a mover checks every chunk of a run where it is. It changes nothing. */
import type { ActDone } from "@couchestor/common/api/acts.ts";
import { type EcStripe, runMapOf } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { ActRecord } from "../acts/act-record.ts";
import { chooseMover } from "../acts/choose-mover.ts";
import { baseOf } from "../volumes/commit-rules.ts";
import { addressesOf, currentNames, descriptorOf } from "../volumes/describe.ts";
import { requireUnheld } from "../volumes/edited-runs.ts";
import type { Services } from "../volumes/services.ts";

export interface ScrubResult {
  /** The run as it was scrubbed. */
  run: EcStripe;
  done: ActDone;
  /** Another version was committed meanwhile: the findings are of the old one and mean nothing. */
  stale: boolean;
}

/** Scrubs a run and returns what was found. Undefined if there is nothing to scrub; throws when the act was dropped, `FailedPrecondition` if the run is held. */
export async function scrubRun(
  services: Services,
  volume: EcVolume,
  runName: string,
  options: { deep: boolean; onStart?: (record: ActRecord) => void },
): Promise<ScrubResult | undefined> {
  const { inventory, cluster, acts, ownership, catalogue } = services;
  const run = await catalogue.freshRun(runName);
  if (!run) return undefined;
  // Its map may name chunks that never were, or no longer are.
  requireUnheld(services, run);
  if (run.spec.generation === 0) return undefined;
  const clusterUuid = cluster.require();
  const epoch = await ownership.epochOf(volume);
  const map = runMapOf(run.spec);
  const shardLocations = currentNames(inventory, map.shardLocations);
  const record = await acts.begin({
    kind: "scrub",
    volumeUuid: volume.spec.volumeUuid,
    epoch,
    runName,
    mover: chooseMover(inventory, acts, new Set(shardLocations.map((l) => l.nodeName)), new Set()),
    chunkBytes: 0,
    task: (act) => ({
      kind: "scrub",
      act,
      volume: descriptorOf(volume, clusterUuid),
      nodes: addressesOf(
        inventory,
        [...map.shardLocations, ...map.exceptions].map((l) => l.poolUuid),
      ),
      run: { ...map, shardLocations },
      deep: options.deep,
    }),
    columns: () => [],
    commit: async () => ({ result: "noted" }),
  });
  options.onStart?.(record);
  const { done, answer } = await record.ended;
  if (answer.result !== "noted" || !done) throw new AppError("Unavailable", answer.reason ?? "the scrub was dropped");
  if (done.counts.stripes !== run.spec.stripeCount) {
    throw new AppError("Unavailable", `the mover checked ${done.counts.stripes} stripes of ${run.spec.stripeCount}`);
  }
  const after = await catalogue.freshRun(runName);
  const stale = !after || JSON.stringify(baseOf(after.spec)) !== JSON.stringify(baseOf(run.spec));
  return { run, done, stale };
}
