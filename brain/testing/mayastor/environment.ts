/** What happens to a cluster beside us: machines, disks, the core, the application's attachments, and people. */
import type { MayastorCluster } from "./cluster.ts";
import { createNexus, endNexus, faultChild, startRebuild } from "./nexus.ts";
import { forgetWork } from "./set-replica.ts";
import type { Actor, TruthVolume } from "./truth.ts";

/** The application attaches the volume; its target is made on that node. */
export function publish(cluster: MayastorCluster, volume: TruthVolume, node: string): boolean {
  if (volume.busy !== undefined || volume.target !== undefined) return false;
  return createNexus(cluster, volume, node, "admin");
}

export function unpublish(cluster: MayastorCluster, volume: TruthVolume): boolean {
  if (volume.busy !== undefined || volume.nexus === undefined) return false;
  cluster.transition(volume, "admin", "unpublished", () => endNexus(volume, true));
  volume.target = undefined;
  cluster.cache.refreshNexus(volume.uuid);
  return true;
}

/** The target is moved in an orderly way: healthy children stay, one that was being filled is filled from the beginning. */
export function moveTarget(cluster: MayastorCluster, volume: TruthVolume, node: string): boolean {
  if (volume.busy !== undefined || volume.nexus === undefined || !cluster.node(node).up) return false;
  if (!volume.nexus.children.some((child) => child.state === "Online" && isReachable(cluster, volume, child.replica)))
    return false;
  const before = volume.nexus.children.filter((child) => child.state !== "Online").map((child) => child.replica);
  endNexus(volume, true);
  createNexus(cluster, volume, node, "fault");
  for (const replica of before) volume.nexusInfo?.healthy.set(replica, false);
  return true;
}

function isReachable(cluster: MayastorCluster, volume: TruthVolume, replicaUuid: string): boolean {
  const replica = volume.replicas.get(replicaUuid);
  return replica !== undefined && cluster.reachable(replica);
}

/** A machine goes down at once. Its targets end uncleanly; other targets notice after a while that its replicas are gone. */
export function crashNode(cluster: MayastorCluster, id: string): void {
  const { timeline, settings } = cluster;
  const node = cluster.node(id);
  if (!node.up) return;
  node.up = false;
  timeline.after(settings.nodeOfflineMs, () => {
    if (!node.up && cluster.coreUp) cluster.cache.offline(id);
  });
  for (const volume of cluster.volumes.values()) {
    if (volume.nexus?.node === id) {
      cluster.transition(volume, "fault", `the target's node ${id} crashed`, () => endNexus(volume, false));
      if (settings.highAvailability) moveElsewhere(cluster, volume, id);
    }
  }
  for (const pool of cluster.pools.values()) if (pool.node === id) noticeLoss(cluster, pool.id);
}

/** It is up again, and says so soon. */
export function startNode(cluster: MayastorCluster, id: string): void {
  const node = cluster.node(id);
  if (node.up) return;
  node.up = true;
  cluster.timeline.after(1_000 + cluster.prng.below(4_000), () => {
    if (cluster.coreUp) cluster.cache.refresh(id);
  });
}

function moveElsewhere(cluster: MayastorCluster, volume: TruthVolume, crashed: string): void {
  const { timeline, prng } = cluster;
  timeline.after(20_000 + prng.below(20_000), () => {
    if (volume.nexus !== undefined || volume.target !== crashed || !cluster.volumes.has(volume.uuid)) return;
    const nodes = [...cluster.nodes.values()].filter((node) => node.up && node.cordons.size === 0);
    const next = nodes[prng.below(Math.max(1, nodes.length))];
    if (next !== undefined) createNexus(cluster, volume, next.id, "fault");
  });
}

/** A disk stops answering; `lost` if for good. */
export function faultPool(cluster: MayastorCluster, id: string, lost: boolean): void {
  const pool = cluster.pool(id);
  pool.status = "Faulted";
  if (lost && !pool.lost) {
    for (const volume of cluster.volumes.values()) {
      if (![...volume.replicas.values()].some((replica) => replica.pool === id)) continue;
      cluster.transition(volume, "fault", `pool ${id} is lost`, () => {
        for (const replica of volume.replicas.values()) if (replica.pool === id) replica.complete = false;
      });
    }
    pool.lost = true;
  }
  noticeLoss(cluster, id);
}

export function mendPool(cluster: MayastorCluster, id: string): void {
  const pool = cluster.pool(id);
  if (!pool.lost) pool.status = "Online";
}

function noticeLoss(cluster: MayastorCluster, poolId: string): void {
  const { timeline, settings, prng } = cluster;
  const [least, most] = settings.childFaultMs;
  for (const volume of cluster.volumes.values()) {
    for (const replica of volume.replicas.values()) {
      if (replica.pool !== poolId) continue;
      timeline.after(least + prng.below(most - least + 1), () => {
        const child = volume.nexus?.children.find((found) => found.replica === replica.uuid);
        if (child !== undefined && child.state !== "Faulted" && !cluster.reachable(replica))
          faultChild(cluster, volume, child, "fault");
      });
    }
  }
}

/** Other volumes take all the pool's space but this. What is being filled there fails at its end. */
export function fillPool(cluster: MayastorCluster, id: string, leaveBytes: number): void {
  const pool = cluster.pool(id);
  pool.otherBytes += Math.max(0, cluster.freeBytes(pool) - leaveBytes);
}

/** Rebuilds of the volume stand still, or go on. */
export function stallRebuilds(cluster: MayastorCluster, volume: TruthVolume, stalled: boolean): void {
  for (const child of volume.nexus?.children ?? []) {
    const { rebuild } = child;
    if (rebuild === undefined || (rebuild.stalledAt !== undefined) === stalled) continue;
    if (stalled) {
      rebuild.cancel();
      rebuild.stalledAt = cluster.nowMs;
    } else resume(cluster, volume, child);
  }
}

function resume(
  cluster: MayastorCluster,
  volume: TruthVolume,
  child: NonNullable<TruthVolume["nexus"]>["children"][number],
): void {
  delete child.rebuild;
  // It begins again: which blocks were done is not kept.
  startRebuild(cluster, volume, child);
}

/** The core is killed, and is back after a while. What was under way stops in the middle. */
export function killCore(cluster: MayastorCluster, downMs: number): void {
  cluster.coreDownUntilMs = cluster.nowMs + downMs;
  cluster.coreStarts += 1;
  forgetWork(cluster);
  cluster.shuffleLists();
  cluster.timeline.after(downMs, () => {
    for (const node of cluster.nodes.values()) {
      node.dirty = false;
      if (node.up) cluster.cache.refresh(node.id);
      else cluster.cache.offline(node.id);
    }
  });
}

/** Somebody deletes the volume. */
export function deleteVolume(cluster: MayastorCluster, volume: TruthVolume, by: Actor): void {
  cluster.transition(volume, by, "deleted", () => {
    endNexus(volume, true);
    cluster.volumes.delete(volume.uuid);
  });
  cluster.cache.refreshNexus(volume.uuid);
  cluster.shuffleLists();
}
