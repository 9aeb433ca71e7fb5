/** How far a migration has come, judged by what is there and not by what was done. */
import type { Migration } from "@couchestor/common/crd/migration.ts";
import type { ReplicaView, VolumeView } from "./view.ts";

export interface Standing {
  /** Replicas that are to go, as decided. */
  sources: ReplicaView[];
  /** On the target tier from the beginning. */
  keepers: ReplicaView[];
  /** New ones on pools that were wanted. */
  arrived: ReplicaView[];
  /** New ones elsewhere: the control plane replaced a replica by itself, or the steering failed. */
  strangers: ReplicaView[];
}

/** Every pool that any of its new replicas may be on. */
export function wantedPools(spec: Migration["spec"]): Set<string> {
  return new Set(spec.replicas.flatMap(({ toPools }) => toPools));
}

export function standingOf(spec: Migration["spec"], baseline: readonly string[], volume: VolumeView): Standing {
  const wanted = wantedPools(spec);
  const leaving = new Set(spec.replicas.map(({ replicaUuid }) => replicaUuid));
  const standing: Standing = { sources: [], keepers: [], arrived: [], strangers: [] };
  for (const replica of volume.replicas) {
    if (leaving.has(replica.uuid)) standing.sources.push(replica);
    else if (baseline.includes(replica.uuid)) standing.keepers.push(replica);
    else if (replica.pool !== undefined && wanted.has(replica.pool)) standing.arrived.push(replica);
    else standing.strangers.push(replica);
  }
  // In the order in which they were decided, whatever their uuids.
  const order = spec.replicas.map(({ replicaUuid }) => replicaUuid);
  standing.sources.sort((a, b) => order.indexOf(a.uuid) - order.indexOf(b.uuid));
  return standing;
}

/** How many replicas there are to be in the end. */
export function finalCount(spec: Migration["spec"]): number {
  return spec.preservationMode ? spec.originalReplicaCount + spec.replicas.length : spec.finalReplicaCount;
}

/** Whether nothing is left to be done. */
export function isThere(spec: Migration["spec"], { sources, keepers, arrived, strangers }: Standing): boolean {
  const count = keepers.length + arrived.length;
  if (spec.preservationMode) {
    const added = arrived.length >= spec.replicas.length;
    return added && sources.length + strangers.length + count === finalCount(spec);
  }
  return sources.length === 0 && strangers.length === 0 && count === spec.finalReplicaCount;
}
