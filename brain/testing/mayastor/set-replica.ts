/** One more or one less replica: what the core does for `replica_count`, step by step, each of which can be slow or be the last before the core dies. */
import type { MayastorCluster } from "./cluster.ts";
import { addChild, removeChild } from "./nexus.ts";
import { candidatePools } from "./placement.ts";
import { chooseVictim } from "./removal.ts";
import { type Answer, ok, problem } from "./rest-answer.ts";
import { atLeast } from "./settings.ts";
import type { Actor, TruthPool, TruthReplica, TruthVolume } from "./truth.ts";

/** A step that takes longer than it should. */
export interface Slowness {
  step: "create" | "attach" | "detach" | "destroy";
  ms: number;
}

export interface SetReplica {
  volume: string;
  count: number;
  by: Actor;
  slow: Slowness | undefined;
  reply: (answer: Answer) => void;
  /** What the volume looks like to REST, for the answer. */
  show: (volume: TruthVolume) => unknown;
}

const guardWaitMs = 800;
const leftoverMs = 24_000;
const rebuildLimitLeftoverMs = 500;

/** Carries it out, and replies when it is done or refused. */
export function setReplicaCount(cluster: MayastorCluster, request: SetReplica): void {
  const volume = cluster.volumes.get(request.volume);
  if (volume === undefined) {
    request.reply(problem(404, "NotFound", `Volume '${request.volume}' not found`));
    return;
  }
  if (volume.busy === undefined) begin(cluster, volume, request);
  else
    cluster.timeline.after(guardWaitMs, () => {
      if (volume.busy !== undefined) request.reply(problem(409, "Conflict", "Volume resource is busy"));
      else begin(cluster, volume, request);
    });
}

function begin(cluster: MayastorCluster, volume: TruthVolume, request: SetReplica): void {
  const refused = refuse(cluster, volume, request.count);
  if (refused !== undefined) request.reply(refused);
  else if (request.count > volume.numReplicas) increase(cluster, volume, request);
  else decrease(cluster, volume, request);
}

function refuse(cluster: MayastorCluster, volume: TruthVolume, count: number): Answer | undefined {
  const precondition = (text: string) => problem(412, "FailedPrecondition", text);
  if (cluster.storeDown) return problem(507, "FailedPersist", "failed to persist to the store");
  if (!cluster.volumes.has(volume.uuid)) return problem(404, "NotFound", `Volume '${volume.uuid}' not found`);
  if (count === volume.numReplicas) return precondition("replica count achieved already");
  if (Math.abs(count - volume.numReplicas) > 1) return precondition("the replica count may only change by one");
  if (count < 1) return precondition("the last replica");
  if (volume.operation !== undefined) return problem(409, "Conflict", `operation ${volume.operation} is in progress`);
  if (volume.target !== undefined && volume.nexus === undefined)
    return problem(503, "Unavailable", "NotReady: the volume's target is not stable");
  if (count < volume.numReplicas) {
    return volume.affinityGroup !== undefined && count < 2
      ? precondition("a volume of an affinity group may not go below two replicas")
      : undefined;
  }
  const children = volume.nexus?.children ?? [];
  const isOnline =
    volume.nexus === undefined ||
    (children.length === volume.numReplicas && children.every((c) => c.state === "Online"));
  if (!isOnline) return precondition("the volume must be online for more replicas");
  if (volume.snapshots > 0 && !atLeast(cluster.settings, 8))
    return precondition("a node must be upgraded before a volume with snapshots may be rebuilt");
  return undefined;
}

function increase(cluster: MayastorCluster, volume: TruthVolume, request: SetReplica): void {
  const pools = candidatePools(cluster, volume);
  const leftovers: TruthReplica[] = [];
  tryPool(cluster, volume, request, { pools, leftovers });
}

/** Creates the replica on the best pool, on the next if that one refuses. A refusal leaves a replica behind that nobody has. */
function tryPool(
  cluster: MayastorCluster,
  volume: TruthVolume,
  request: SetReplica,
  left: { pools: TruthPool[]; leftovers: TruthReplica[] },
): void {
  const [pool, ...others] = left.pools;
  if (pool === undefined) {
    volume.busy = undefined;
    request.reply(problem(507, "ResourceExhausted", "Not enough suitable pools available, 0/1"));
    return;
  }
  volume.busy = { by: request.by, abandon: () => drop(volume, left.leftovers) };
  step(cluster, volume, request, "create", () => {
    const replica = cluster.addReplica(volume, pool.id);
    left.leftovers.push(replica);
    if (pool.refusesReplicas || !cluster.reachable(replica)) {
      cluster.timeline.after(leftoverMs, () => drop(volume, [replica]));
      tryPool(cluster, volume, request, { pools: others, leftovers: left.leftovers });
      return;
    }
    if (volume.nexusInfo === undefined) replica.complete = true;
    cluster.cache.refreshReplica(pool.id, replica.uuid, "Online");
    attach(cluster, volume, request, replica);
  });
}

function attach(cluster: MayastorCluster, volume: TruthVolume, request: SetReplica, replica: TruthReplica): void {
  const { rebuildsMax, requestCutMs } = cluster.settings;
  const slowMs = request.slow?.step === "attach" ? request.slow.ms : 0;
  if (volume.nexus !== undefined && slowMs >= requestCutMs) {
    // The core gives the child up, too, and rolls back; the replica stays for a while.
    replica.leftoverUntilMs = cluster.nowMs + leftoverMs;
    cluster.timeline.after(requestCutMs, () => {
      volume.busy = undefined;
    });
    cluster.timeline.after(leftoverMs, () => drop(volume, [replica]));
    return;
  }
  step(cluster, volume, request, "attach", () => {
    if (rebuildsMax !== undefined && volume.nexus !== undefined && cluster.cache.rebuilds >= rebuildsMax) {
      volume.busy = undefined;
      cluster.timeline.after(rebuildLimitLeftoverMs, () => drop(volume, [replica]));
      request.reply(problem(507, "ResourceExhausted", "Maximum number of rebuilds reached in the system"));
      return;
    }
    cluster.transition(volume, request.by, `replica ${replica.uuid} on ${replica.pool} is added`, () => {
      volume.numReplicas = request.count;
      addChild(cluster, volume, replica);
    });
    volume.busy = undefined;
    request.reply(ok(request.show(volume)));
  });
}

function decrease(cluster: MayastorCluster, volume: TruthVolume, request: SetReplica): void {
  const victim = chooseVictim(cluster, volume, request.count);
  if ("refused" in victim) {
    request.reply(problem(412, "FailedPrecondition", victim.refused));
    return;
  }
  const { replica } = victim;
  let detached = false;
  const finish = () => {
    cluster.transition(volume, request.by, `replica ${replica.uuid} on ${replica.pool} is removed`, () => {
      volume.numReplicas = request.count;
      replica.owned = false;
      replica.condemned = false;
      if (cluster.reachable(replica)) volume.replicas.delete(replica.uuid);
    });
    cluster.cache.refreshReplica(replica.pool, replica.uuid, undefined);
    volume.busy = undefined;
  };
  const release = () => cluster.transition(volume, "mayastor", "removal given up", () => (replica.condemned = false));
  volume.busy = { by: request.by, abandon: () => (detached ? finish() : release()) };
  cluster.transition(volume, request.by, `replica ${replica.uuid} on ${replica.pool} is chosen to go`, () => {
    replica.condemned = true;
  });
  step(cluster, volume, request, "detach", () => {
    detached = true;
    removeChild(cluster, volume, replica.uuid);
    step(cluster, volume, request, "destroy", () => {
      finish();
      request.reply(ok(request.show(volume)));
    });
  });
}

/** One step, unless the core dies or the volume goes meanwhile. */
function step(
  cluster: MayastorCluster,
  volume: TruthVolume,
  request: SetReplica,
  name: Slowness["step"],
  run: () => void,
): void {
  const { coreStarts } = cluster;
  const slowMs = request.slow?.step === name ? request.slow.ms : 0;
  cluster.timeline.after(30 + cluster.prng.below(170) + slowMs, () => {
    if (cluster.coreStarts === coreStarts && cluster.volumes.has(volume.uuid)) run();
  });
}

function drop(volume: TruthVolume, replicas: readonly TruthReplica[]): void {
  for (const replica of replicas) {
    const isChild = volume.nexus?.children.some((child) => child.replica === replica.uuid) ?? false;
    if (!isChild) volume.replicas.delete(replica.uuid);
  }
}

/** The core died: what it had in hand is given up, or ended by the next one. */
export function forgetWork(cluster: MayastorCluster): void {
  for (const volume of cluster.volumes.values()) {
    const { busy } = volume;
    volume.busy = undefined;
    busy?.abandon();
  }
}
