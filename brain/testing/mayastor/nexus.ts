/** A volume's target: which replicas it writes to, which it fills, and which it has given up. */
import type { MayastorCluster } from "./cluster.ts";
import { isHealthyByStore } from "./removal.ts";
import type { Actor, RebuildRecord, TruthChild, TruthReplica, TruthVolume } from "./truth.ts";

const historyMax = 10;

/** Makes the target on a node. After an unclean end only one healthy replica is trusted; the others have to be filled anew, as new ones. */
export function createNexus(cluster: MayastorCluster, volume: TruthVolume, node: string, by: Actor): boolean {
  const { nexusInfo } = volume;
  const reachable = [...volume.replicas.values()].filter(
    (replica) => replica.owned && !replica.condemned && cluster.reachable(replica) && isHealthyByStore(volume, replica),
  );
  const local = reachable.find((replica) => cluster.pool(replica.pool).node === node);
  const trusted = nexusInfo !== undefined && !nexusInfo.clean ? [local ?? reachable[0]] : reachable;
  const members = trusted.filter((replica) => replica !== undefined);
  if (members.length === 0 || !cluster.node(node).up) return false;
  cluster.transition(volume, by, `target on ${node}`, () => {
    volume.target = node;
    volume.nexus = {
      uuid: cluster.prng.uuid(),
      node,
      children: members.map((replica) => ({ replica: replica.uuid, state: "Online" })),
      history: [],
      afterCrash: nexusInfo !== undefined && !nexusInfo.clean,
    };
    volume.nexusInfo = { healthy: new Map(members.map((replica) => [replica.uuid, true])), clean: false };
    // From now on writes go to the members alone.
    for (const replica of volume.replicas.values()) if (!members.includes(replica)) replica.complete = false;
  });
  cluster.cache.refreshNexus(volume.uuid);
  return true;
}

/** The target ends: cleanly, or with its node. */
export function endNexus(volume: TruthVolume, clean: boolean): void {
  for (const child of volume.nexus?.children ?? []) child.rebuild?.cancel();
  volume.nexus = undefined;
  if (volume.nexusInfo !== undefined) volume.nexusInfo.clean = clean;
}

/** A replica becomes a child, and is filled from one that is complete. */
export function addChild(cluster: MayastorCluster, volume: TruthVolume, replica: TruthReplica): void {
  if (volume.nexus === undefined) return;
  const child: TruthChild = { replica: replica.uuid, state: "Degraded" };
  volume.nexus.children.push(child);
  volume.nexusInfo?.healthy.set(replica.uuid, false);
  startRebuild(cluster, volume, child);
  cluster.cache.refreshNexus(volume.uuid);
}

/** Fills a child; a whole copy unless `share` says that only a part is missing. */
export function startRebuild(cluster: MayastorCluster, volume: TruthVolume, child: TruthChild, share = 1): void {
  const { timeline, settings } = cluster;
  const replica = volume.replicas.get(child.replica);
  if (replica === undefined) return;
  child.state = "Degraded";
  delete child.faultedAtMs;
  const durationMs = Math.max(1_000, ((share * replica.allocatedBytes) / settings.rebuildBytesPerSecond) * 1000);
  const cancel = timeline.after(durationMs, () => rebuilt(cluster, volume, child, replica));
  child.rebuild = { startedMs: cluster.nowMs, durationMs, cancel };
}

function rebuilt(cluster: MayastorCluster, volume: TruthVolume, child: TruthChild, replica: TruthReplica): void {
  const started = child.rebuild?.startedMs ?? cluster.nowMs;
  const source = volume.nexus?.children.find((other) => other.state === "Online");
  delete child.rebuild;
  if (!cluster.reachable(replica) || source === undefined || cluster.freeBytes(cluster.pool(replica.pool)) === 0) {
    const outOfSpace = cluster.reachable(replica) && source !== undefined;
    if (outOfSpace) child.outOfSpace = true;
    record(volume, { replica: replica.uuid, source: source?.replica ?? "", state: "Failed", started }, cluster.nowMs);
    faultChild(cluster, volume, child, "fault");
    return;
  }
  record(volume, { replica: replica.uuid, source: source.replica, state: "Completed", started }, cluster.nowMs);
  cluster.transition(volume, "mayastor", `replica ${replica.uuid} on ${replica.pool} is filled`, () => {
    child.state = "Online";
    replica.complete = true;
    volume.nexusInfo?.healthy.set(replica.uuid, true);
  });
}

function record(
  volume: TruthVolume,
  end: { replica: string; source: string; state: RebuildRecord["state"]; started: number },
  endedMs: number,
): void {
  const { started, ...rest } = end;
  volume.nexus?.history.push({ ...rest, startedMs: started, endedMs });
  if ((volume.nexus?.history.length ?? 0) > historyMax) volume.nexus?.history.shift();
}

/** The target gives a child up. With no other child online there is nobody to write to, so that the last one stays complete. */
export function faultChild(cluster: MayastorCluster, volume: TruthVolume, child: TruthChild, by: Actor): void {
  const replica = volume.replicas.get(child.replica);
  const others = volume.nexus?.children.some((other) => other !== child && other.state === "Online") ?? false;
  child.rebuild?.cancel();
  delete child.rebuild;
  cluster.transition(volume, by, `child ${child.replica} faulted`, () => {
    child.state = "Faulted";
    child.faultedAtMs = cluster.nowMs;
    if (!others) return;
    if (replica !== undefined) replica.complete = false;
    volume.nexusInfo?.healthy.set(child.replica, false);
  });
}

/** The target lets go of a child. */
export function removeChild(cluster: MayastorCluster, volume: TruthVolume, replicaUuid: string): void {
  const { nexus } = volume;
  if (nexus === undefined) return;
  nexus.children.find((child) => child.replica === replicaUuid)?.rebuild?.cancel();
  nexus.children = nexus.children.filter((child) => child.replica !== replicaUuid);
  volume.nexusInfo?.healthy.delete(replicaUuid);
  cluster.cache.refreshNexus(volume.uuid);
}

/** How the target is, as it would say itself. */
export function nexusStatus(children: readonly { state: string }[]): "Online" | "Degraded" | "Faulted" {
  const online = children.filter((child) => child.state === "Online").length;
  return online === 0 ? "Faulted" : online < children.length ? "Degraded" : "Online";
}
