/** Whether a migration can begin, and how it will go: looks at everything first, changes nothing. */
import type { MigrationBaseline, MigrationSpec } from "@couchestor/common/crd/migration.ts";
import { copiesOf } from "./copies.ts";
import { chooseMover } from "./movers/choose.ts";
import type { ReplicaMover } from "./movers/mover.ts";
import { list, possiblePools, type Targets, targetPools } from "./pools.ts";
import { ecVolumeLabel } from "./ports.ts";
import { standingOf, wantedPools } from "./standing.ts";
import { type Turn, volumeOf, weightsOf } from "./turn.ts";
import type { ClusterView, VolumeView } from "./view.ts";
import { withoutSteering } from "./without-steering.ts";

/** What it is refused for: words that people and programs go by, each with what lifts it in the message. */
export type RefusalReason =
  | "UnsupportedVersion"
  | "SelfHealOff"
  | "Snapshots"
  | "AffinityGroup"
  | "NotPublished"
  | "PinnedByTopology"
  | "NoSpareNode"
  | "NotEnoughSpace"
  | "AmbiguousPlacement"
  | "SteeringIneffective"
  | "NotEnoughCopies"
  | "ReplicaCountChanged"
  | "ReplicasChanged"
  | "VolumeDeleted";

export type Preflight =
  | { ready: MigrationBaseline }
  | { refused: RefusalReason; message: string }
  | { wait: string; reason: "VolumeNotReady" | "NoUsablePool" | "NotEnoughCopies" | "Busy" };

/** The checks, the lasting ones first. Needs the cluster to have been read. */
export function preflight(turn: Turn): Preflight {
  const { journal, seen, settings, rules } = turn;
  const { spec } = journal;
  const { cluster } = seen;
  if (cluster === undefined) return { wait: "pools and nodes have not been read", reason: "VolumeNotReady" };
  const settled = rules.settled(seen.settle, "shape", settings);
  if (seen.seen === "absent") {
    return settled
      ? { refused: "VolumeDeleted", message: "the control plane has no such volume" }
      : { wait: "the control plane doesn't show the volume", reason: "VolumeNotReady" };
  }
  const volume = seen.seen;
  const mover = chooseMover(cluster.version, settings.allow);
  if ("refused" in mover) return mover;
  // What that one does to the volume, or takes back, says nothing before it has ended.
  if (seen.others.sameVolume !== undefined)
    return { wait: `migration ${seen.others.sameVolume} moves the same volume`, reason: "Busy" };
  const changed = whatChanged(spec, volume);
  if (changed !== undefined) return settled ? changed : { wait: changed.message, reason: "VolumeNotReady" };
  const refused = refusalOf(turn, volume);
  if (refused !== undefined) return refused;
  const unsound = rules.unsoundness(volume, settings.allow.offlineRebuild);
  if (unsound !== undefined) return { wait: unsound, reason: "VolumeNotReady" };
  return plan(turn, mover, withoutSteering(cluster.view, seen.others.steering));
}

function whatChanged(spec: MigrationSpec, volume: VolumeView): { refused: RefusalReason; message: string } | undefined {
  if (volume.count !== spec.originalReplicaCount) {
    const message = `the volume had ${spec.originalReplicaCount} replicas when it was decided, and is to have ${volume.count} now`;
    return { refused: "ReplicaCountChanged", message };
  }
  const there = new Map(volume.replicas.map(({ uuid, pool }) => [uuid, pool]));
  const gone = spec.replicas.filter(({ replicaUuid, fromPool }) => there.get(replicaUuid) !== fromPool);
  if (gone.length === 0) return undefined;
  const names = list(gone.map(({ replicaUuid, fromPool }) => `${replicaUuid} on ${fromPool}`));
  return { refused: "ReplicasChanged", message: `these replicas are not there any more: ${names}` };
}

function refusalOf(turn: Turn, volume: VolumeView): { refused: RefusalReason; message: string } | undefined {
  const { spec } = turn.journal;
  const { allow } = turn.settings;
  if (!volume.selfHeal) {
    const message = "the volume's self_heal is off, so nothing would repair it on the way; switch it on";
    return { refused: "SelfHealOff", message };
  }
  if (volume.snapshots > 0 && !allow.snapshots) {
    const message = `the volume has ${volume.snapshots} snapshot(s), which would stay on the old pools with their space; delete them, or allow moving without them`;
    return { refused: "Snapshots", message };
  }
  const least = Math.min(spec.originalReplicaCount, spec.finalReplicaCount);
  if (volume.affinityGroup !== undefined && least < 2 && !spec.preservationMode) {
    const message = `the volume belongs to the affinity group ${volume.affinityGroup}, which may not have ${least} replica; give it two`;
    return { refused: "AffinityGroup", message };
  }
  const healthTold = volume.replicas.length > 0 && volume.replicas.every(({ healthy }) => healthy !== undefined);
  if (volume.publishedOn === undefined && !(allow.offlineRebuild && healthTold)) {
    const message =
      "the volume is not published, and replicas are filled through its target only; it is moved when a pod uses it, or with Mayastor's offline rebuild (2.12) if that is allowed";
    return { refused: "NotPublished", message };
  }
  return undefined;
}

function plan(turn: Turn, mover: ReplicaMover, view: ClusterView): Preflight {
  const { journal, seen, settings } = turn;
  const { spec } = journal;
  const volume = volumeOf(turn);
  const baseline = volume.replicas.map(({ uuid }) => uuid);
  const { keepers } = standingOf(spec, baseline, volume);
  const weights = weightsOf(turn);
  const copies = copiesOf(volume, volume.replicas, weights);
  const most = Math.max(spec.originalReplicaCount, spec.finalReplicaCount);
  // What one on erasure coding is worth while that isn't known may be several: taken for one, the others might be taken back from it too early.
  const worthMore = volume.replicas.some(({ pool = "" }) => isInDoubt(turn, view, pool));
  const requiredCopies = worthMore ? most : Math.min(copies, most);
  const kept = keepers.map(({ uuid }) => weights.get(uuid) ?? 1);
  const short = tooFewCopies(turn, kept, requiredCopies);
  // An agent that is silent for a moment, or has not been heard by a new leader yet, is no reason to give up.
  const mayPass = [...wantedPools(spec)].some((pool) => isInDoubt(turn, view, pool));
  if (short !== undefined && mayPass) return { wait: short, reason: "NotEnoughCopies" };
  if (short !== undefined) return { refused: "NotEnoughCopies", message: short };
  const additions = spec.preservationMode ? spec.replicas.length : spec.finalReplicaCount - keepers.length;
  let order: MigrationBaseline["order"] = "GrowFirst";
  if (additions > 0) {
    const room = roomFor(turn, mover, view, keepers.length);
    if (!("order" in room)) return room;
    order = room.order;
  }
  if (seen.others.copying >= settings.rebuildsMax)
    return { wait: `${seen.others.copying} replicas are being filled, as many as may be at once`, reason: "Busy" };
  return {
    ready: {
      replicas: volume.replicas.map(({ uuid, pool }) => ({ replicaUuid: uuid, pool: pool ?? "" })),
      requiredCopies,
      mover: mover.name,
      order,
    },
  };
}

/** Whether new replicas can be placed and steered, and in which order it goes. */
function roomFor(
  turn: Turn,
  mover: ReplicaMover,
  view: ClusterView,
  keepers: number,
): Preflight | { order: MigrationBaseline["order"] } {
  const { journal, seen } = turn;
  const { spec } = journal;
  const volume = volumeOf(turn);
  const wanted = [...wantedPools(spec)];
  const question = { volume, cluster: view, wanted, reservedBytes: seen.others.reservedBytes };
  let order: MigrationBaseline["order"] = "GrowFirst";
  let targets: Targets = targetPools(question);
  if ("refused" in targets && targets.refused === "NoSpareNode") {
    const lacking = whyNotShrink(turn, mover);
    if (lacking !== undefined) return { refused: "NoSpareNode", message: `${targets.message}; ${lacking}` };
    order = "ShrinkFirst";
    const left = volume.replicas.filter(({ uuid }) => uuid !== spec.replicas[0]?.replicaUuid);
    targets = targetPools({ ...question, volume: { ...volume, replicas: left } });
  }
  if ("refused" in targets) {
    if (targets.refused === "NoUsablePool") return { wait: targets.message, reason: "NoUsablePool" };
    return { refused: targets.refused, message: targets.message };
  }
  const crowded = tooFewNodes(turn, keepers, targets.pools, view);
  if (crowded !== undefined) {
    const later = possiblePools(volume, view).flatMap(({ name }) => (wanted.includes(name) ? [name] : []));
    const passing = tooFewNodes(turn, keepers, later, view) === undefined;
    return passing ? { wait: crowded, reason: "NoUsablePool" } : { refused: "NoSpareNode", message: crowded };
  }
  const shrinks = order === "ShrinkFirst";
  return trySteering(turn, mover, view, { pools: targets.pools, shrinks }) ?? { order };
}

/** Fewer replicas in the end than in the beginning are enough only where each is worth several. `kept`: what those that stay are worth. */
function tooFewCopies(turn: Turn, kept: readonly number[], requiredCopies: number): string | undefined {
  const { spec } = turn.journal;
  if (spec.preservationMode) return undefined;
  const least = Math.min(1024, ...[...wantedPools(spec)].map((pool) => turn.seen.copiesByPool.get(pool) ?? 1));
  const arriving = Math.max(0, spec.finalReplicaCount - kept.length);
  // Of more than are to stay, the ones that are worth least.
  const staying = [...kept].sort((a, b) => a - b).slice(0, spec.finalReplicaCount);
  const copies = staying.reduce((sum, one) => sum + one, arriving * least);
  if (copies >= requiredCopies) return undefined;
  return `${spec.finalReplicaCount} replica(s) would be worth ${copies} copies there, and ${requiredCopies} are needed: a pool on an ECVolume counts one more than its parity shards, and only while each of its stripes is verified healthy`;
}

/** Whether a pool stands on an ECVolume that isn't known to be whole now. */
function isInDoubt({ seen }: Turn, view: ClusterView, pool: string): boolean {
  return view.pools.get(pool)?.labels[ecVolumeLabel] !== undefined && !seen.copiesByPool.has(pool);
}

/** Where several replicas are added before one leaves, each needs a node of its own. */
function tooFewNodes(
  { journal: { spec } }: Turn,
  keepers: number,
  pools: readonly string[],
  view: ClusterView,
): string | undefined {
  const grows = Math.max(1, spec.finalReplicaCount - Math.max(keepers, spec.originalReplicaCount - 1));
  const additions = spec.preservationMode ? spec.replicas.length : grows;
  const nodes = new Set(pools.map((pool) => view.pools.get(pool)?.node)).size;
  if (nodes >= additions) return undefined;
  return `${additions} replicas have to be added before one leaves, each on a node of its own, and the pools that they may go to are on ${nodes} spare node(s): ${list(pools)}`;
}

function whyNotShrink(turn: Turn, mover: ReplicaMover): string | undefined {
  const { spec } = turn.journal;
  const { allow } = turn.settings;
  const count = spec.originalReplicaCount;
  if (spec.preservationMode) return "and preservationMode keeps the old replicas";
  if (count !== spec.finalReplicaCount) return "and the number of replicas is to change";
  if (mover.name === "NodeCordon") return "and before Mayastor 2.10 pools of one node can't be told apart";
  if (count >= 3)
    return allow.shrinkThenGrow
      ? undefined
      : "or allow one replica to leave before its successor comes (shrinkThenGrow)";
  if (count === 2 && allow.shrinkTwoReplicas) return undefined;
  return count === 2
    ? "or allow one of two replicas to leave before its successor comes (shrinkTwoReplicas), with one copy left meanwhile"
    : "and its only replica never leaves first";
}

/** Steering that can't work is known before anything is done. */
function trySteering(
  turn: Turn,
  mover: ReplicaMover,
  cluster: ClusterView,
  { pools, shrinks }: { pools: readonly string[]; shrinks: boolean },
): Preflight | undefined {
  const { spec } = turn.journal;
  const volume = volumeOf(turn);
  const first = spec.replicas[0]?.replicaUuid ?? "";
  const after = shrinks ? { ...volume, replicas: volume.replicas.filter(({ uuid }) => uuid !== first) } : volume;
  const possible = possiblePools(after, cluster).map(({ name }) => name);
  const label = "couchestor";
  const placement = mover.placement({
    volume,
    cluster,
    targets: pools,
    possible,
    leaveAlone: new Set(),
    label,
    allowAmbiguous: turn.settings.allow.ambiguousPlacement,
  });
  if ("refused" in placement) return placement;
  if (spec.preservationMode || first === "") return undefined;
  const removal = mover.removal({ volume, cluster, victim: first, label });
  return "refused" in removal ? removal : undefined;
}
