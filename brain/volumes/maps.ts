/** Stripe maps for agents, and the agent a client reads from. */
import { runsPerMapMax, type VolumeMap } from "@couchestor/common/api/maps.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { runMapOf } from "@couchestor/common/crd/ec-stripe.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { addressesOf, currentNames, descriptorOf } from "./describe.ts";
import { requireUnheld } from "./edited-runs.ts";
import type { Services } from "./services.ts";
import { runCounts } from "./volume-rules.ts";

/** The runs that overlap the range, at most 256, from the store's current objects. A stripe no run covers is an error, never zeros. */
export async function volumeMap(
  services: Services,
  volumeUuid: string,
  range: { firstStripe: number; stripeCount: number },
): Promise<VolumeMap> {
  const { catalogue, inventory, cluster } = services;
  const known = catalogue.volumeByUuid(volumeUuid);
  if (!known)
    throw new AppError("NotFound", `volume ${volumeUuid}: this brain has none of this uuid`, { data: { volumeUuid } });
  const volume = await catalogue.freshVolume(known.metadata.name);
  if (volume.status?.phase === "Deleting" || volume.status?.phase === "Empty") {
    throw new AppError(
      "FailedPrecondition",
      `volume ${volume.metadata.name} is ${volume.status.phase} and can't be read`,
    );
  }
  const { stripes } = runCounts(volume.spec);
  const first = range.firstStripe;
  const end = Math.min(stripes, first + range.stripeCount);
  if (first >= stripes)
    throw new AppError("InvalidArgument", `firstStripe: got ${first}, the volume has stripes 0 … ${stripes - 1}`);
  const entries = catalogue.runs.covering(volumeUuid, first, end, runsPerMapMax);
  const found = await Promise.all(entries.map((e) => catalogue.freshRun(e.name)));
  const runs = found.filter((run): run is EcStripe => run?.spec.volumeUuid === volumeUuid);
  requireWhole(volume.metadata.name, runs, first, end);
  // An older version would be read as if nothing had been written since, and generation 0 as zeros.
  for (const run of runs) requireUnheld(services, run);
  const maps = runs.map((run) => {
    const map = runMapOf(run.spec);
    return { ...map, shardLocations: currentNames(inventory, map.shardLocations) };
  });
  const pools = maps.flatMap((m) => [...m.shardLocations, ...m.exceptions].map((l) => l.poolUuid));
  return { volume: descriptorOf(volume, cluster.require()), runs: maps, nodes: addressesOf(inventory, pools) };
}

/** Runs must follow each other without a gap from `first` on; they may end early only because a map is full. */
function requireWhole(name: string, runs: readonly EcStripe[], first: number, end: number): void {
  let next = first;
  for (const { spec } of runs) {
    if (spec.firstStripe > next) break;
    next = Math.max(next, spec.firstStripe + spec.stripeCount);
  }
  if (next >= end || (runs.length === runsPerMapMax && next > first)) return;
  throw new AppError(
    "Unavailable",
    `volume ${name}: no run covers stripe ${next}; the map is incomplete. Its ECStripe is gone: create it again as it was`,
    {
      data: { stripe: next },
    },
  );
}

/** An online agent to read from; clients are spread over them by chance. */
export async function readerOf(
  services: Services,
  name: string,
): Promise<{ nodeName: string; url: string; volumeUuid: string; sizeBytes: number }> {
  const volume = await services.catalogue.freshVolume(name);
  if (volume.status?.phase !== "Ready") {
    throw new AppError(
      "FailedPrecondition",
      `volume ${name} is ${volume.status?.phase}, not Ready: it can't be read yet`,
      {
        data: { phase: volume.status?.phase },
      },
    );
  }
  const online = services.inventory.online();
  const node = online[services.context.prng.below(Math.max(1, online.length))];
  if (!node) throw new AppError("Unavailable", "no agent is online to read from");
  const { volumeUuid, sizeBytes } = volume.spec;
  return { nodeName: node.name, url: node.heartbeat.adminUrl, volumeUuid, sizeBytes };
}
