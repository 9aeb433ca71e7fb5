/** What Mayastor does by itself: brings targets back, replaces what is missing by its own choice, removes what nobody owns. */
import type { MayastorCluster } from "./cluster.ts";
import { addChild, createNexus, removeChild, startRebuild } from "./nexus.ts";
import { candidatePools } from "./placement.ts";
import { isHealthyByStore } from "./removal.ts";
import type { TruthVolume } from "./truth.ts";

/** Lets the reconcilers run every so often. */
export function startReconcilers(cluster: MayastorCluster): void {
  const tick = () => {
    if (cluster.coreUp && !cluster.storeDown) {
      for (const volume of [...cluster.volumes.values()]) reconcileVolume(cluster, volume);
    }
    cluster.timeline.after(cluster.settings.reconcileMs, tick);
  };
  cluster.timeline.after(cluster.prng.below(cluster.settings.reconcileMs), tick);
}

function reconcileVolume(cluster: MayastorCluster, volume: TruthVolume): void {
  if (volume.busy !== undefined) return;
  collect(cluster, volume);
  if (!volume.selfHeal) return;
  if (volume.target !== undefined && volume.nexus === undefined) {
    createNexus(cluster, volume, volume.target, "mayastor");
    return;
  }
  if (volume.nexus !== undefined) {
    mendChildren(cluster, volume);
    addSpare(cluster, volume);
  }
  removeUnused(cluster, volume);
}

/** Replicas without an owner go, once they can be reached. */
function collect(cluster: MayastorCluster, volume: TruthVolume): void {
  for (const replica of [...volume.replicas.values()]) {
    if (replica.owned || replica.condemned || !cluster.reachable(replica)) continue;
    volume.replicas.delete(replica.uuid);
    cluster.cache.refreshReplica(replica.pool, replica.uuid, undefined);
  }
}

/** A faulted child comes back with its node, or is let go after a while. */
function mendChildren(cluster: MayastorCluster, volume: TruthVolume): void {
  const children = volume.nexus?.children ?? [];
  if (!children.some((child) => child.state === "Online")) {
    revive(cluster, volume);
    return;
  }
  for (const child of [...children]) {
    if (child.state === "Degraded" && child.rebuild === undefined) startRebuild(cluster, volume, child);
    if (child.state !== "Faulted") continue;
    const replica = volume.replicas.get(child.replica);
    const waited = cluster.nowMs - (child.faultedAtMs ?? cluster.nowMs);
    if (replica !== undefined && cluster.reachable(replica) && child.outOfSpace !== true) {
      startRebuild(cluster, volume, child, 0.2);
      cluster.cache.refreshNexus(volume.uuid);
    } else if (waited >= cluster.settings.faultedChildWaitMs || child.outOfSpace === true) {
      removeChild(cluster, volume, child.replica);
      if (replica !== undefined) replica.owned = false;
    }
  }
}

/** A target all of whose children are gone is made anew once one that was complete to the end is back. */
function revive(cluster: MayastorCluster, volume: TruthVolume): void {
  const back = [...volume.replicas.values()].some(
    (replica) => replica.owned && isHealthyByStore(volume, replica) && cluster.reachable(replica),
  );
  const node = volume.nexus?.node;
  if (!back || node === undefined || volume.nexusInfo === undefined) return;
  for (const child of volume.nexus?.children ?? []) child.rebuild?.cancel();
  volume.nexus = undefined;
  volume.nexusInfo.clean = true;
  createNexus(cluster, volume, node, "mayastor");
}

/** The hot spare: fewer children than wanted, so it takes a replica that is there, or makes one where it thinks best. */
function addSpare(cluster: MayastorCluster, volume: TruthVolume): void {
  const children = volume.nexus?.children ?? [];
  if (children.length >= volume.numReplicas || !children.some((child) => child.state === "Online")) return;
  const isChild = (uuid: string): boolean => children.some((child) => child.replica === uuid);
  const outside = [...volume.replicas.values()].filter((r) => r.owned && !r.condemned && !isChild(r.uuid));
  const idle = outside.find((replica) => cluster.reachable(replica));
  if (idle !== undefined && volume.nexus?.afterCrash !== true) {
    addChild(cluster, volume, idle);
    return;
  }
  // After an unclean end the others are not taken up again: new ones take their place.
  if (volume.nexus?.afterCrash === true) for (const replica of outside) replica.owned = false;
  for (const pool of candidatePools(cluster, volume)) {
    if (pool.refusesReplicas || !cluster.node(pool.node).up) continue;
    const replica = cluster.addReplica(volume, pool.id);
    cluster.cache.refreshReplica(pool.id, replica.uuid, "Online");
    addChild(cluster, volume, replica);
    return;
  }
}

/** More replicas than wanted: those that no target uses and that are not healthy go. */
function removeUnused(cluster: MayastorCluster, volume: TruthVolume): void {
  const owned = [...volume.replicas.values()].filter((replica) => replica.owned && !replica.condemned);
  let excess = owned.length - volume.numReplicas;
  for (const replica of owned) {
    if (excess <= 0) return;
    const isChild = volume.nexus?.children.some((child) => child.replica === replica.uuid) ?? false;
    const isLeftover = (replica.leftoverUntilMs ?? 0) > cluster.nowMs;
    if (isChild || isLeftover || isHealthyByStore(volume, replica)) continue;
    cluster.transition(volume, "mayastor", `unused replica ${replica.uuid} is let go`, () => {
      replica.owned = false;
    });
    excess -= 1;
  }
}
