/** Which agent moves an act. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { ActOrder } from "./act-record.ts";
import type { ActRegistry } from "./act-registry.ts";

/** The online node that should move an act: one that need not be avoided, the least loaded, and among those one that `prefers`, then by name. */
export function chooseMover(
  inventory: Inventory,
  registry: Pick<ActRegistry, "loadOf">,
  prefers: ReadonlySet<string>,
  avoided: ReadonlySet<string>,
): ActOrder["mover"] {
  const ranked = inventory
    .online()
    .map((node) => ({
      node,
      bad: Number(avoided.has(node.name)),
      load: registry.loadOf(node.name),
      preferred: prefers.has(node.name) ? 0 : 1,
    }))
    .sort(
      (a, b) => a.bad - b.bad || a.load - b.load || a.preferred - b.preferred || (a.node.name < b.node.name ? -1 : 1),
    );
  const best = ranked[0];
  if (!best)
    throw new AppError("Unavailable", "no agent is online to move data; start agents or wait for them to report");
  const { instanceUuid, clusterUrl, adminUrl } = best.node.heartbeat;
  return { nodeName: best.node.name, instanceUuid, clusterUrl, adminUrl };
}
