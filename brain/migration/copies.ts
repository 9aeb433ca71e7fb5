/** Which replicas are complete, how many copies they are worth, and whether one may go. Unknown is never complete. */
import type { ReplicaView, VolumeView } from "./view.ts";

/** How many copies a replica is worth: one, or more on a pool that stands on erasure coding. By its uuid; those not named count one. */
export type Weights = ReadonlyMap<string, number>;

/** Whether a replica holds all data, as far as reads tell. Without a target only the control plane's own word, `healthy`, does. */
export function isComplete(volume: VolumeView, replica: ReplicaView): boolean {
  if (replica.state !== "Online" || replica.healthy === false || replica.rebuildPercent !== undefined) return false;
  return volume.target === undefined ? replica.healthy === true : replica.child === "Online";
}

/** Why the volume is not at rest with all its replicas complete; undefined if it is. `offline`: without a target, too. */
export function unsoundness(volume: VolumeView, offline: boolean): string | undefined {
  if (volume.specStatus !== "Created") return `the volume is ${volume.specStatus}`;
  if (volume.operation !== undefined) return `${volume.operation} is in progress`;
  if (volume.publishedOn === undefined && !offline) return "the volume is not published";
  if (volume.status !== "Online") return `the volume is ${volume.status}`;
  if (volume.replicas.length !== volume.count)
    return `the volume is to have ${volume.count} replicas and shows ${volume.replicas.length}`;
  const { target } = volume;
  if (target === undefined && volume.publishedOn !== undefined) return "the volume's target is not there";
  if (target !== undefined) {
    if (target.state !== "Online") return `the volume's target is ${target.state}`;
    if (target.children.length !== volume.count)
      return `the volume's target has ${target.children.length} children instead of ${volume.count}`;
    const odd = target.children.find((child) => child.state !== "Online" || child.rebuilding);
    if (odd !== undefined) return odd.rebuilding ? "a child is being rebuilt" : `a child is ${odd.state}`;
  }
  const incomplete = volume.replicas.find((replica) => !isComplete(volume, replica));
  return incomplete === undefined ? undefined : `replica ${incomplete.uuid} is not complete (${stateOf(incomplete)})`;
}

/** How a replica is, in words. */
export function stateOf(replica: ReplicaView): string {
  const parts = [replica.state];
  if (replica.child !== undefined && replica.child !== replica.state) parts.push(`child ${replica.child}`);
  if (replica.rebuildPercent !== undefined) parts.push(`${replica.rebuildPercent} % rebuilt`);
  if (replica.healthy === false) parts.push("not healthy");
  return parts.join(", ");
}

/** Copies that the complete ones among these are worth. */
export function copiesOf(volume: VolumeView, replicas: readonly ReplicaView[], weights: Weights): number {
  return replicas
    .filter((replica) => isComplete(volume, replica))
    .reduce((sum, { uuid }) => sum + (weights.get(uuid) ?? 1), 0);
}

export interface Lowering {
  volume: VolumeView;
  /** The replica that is to go. */
  victim: string;
  weights: Weights;
  /** Copies that must be left. */
  requiredCopies: number;
  /** Whether volumes without a target may be judged by `healthy`. */
  offline: boolean;
}

/**
 * Why the count must not be lowered; undefined if it may. Every replica must be complete, or every one but the victim: then the server,
 * which lets incomplete ones go first, has no other choice. What is left must be worth enough copies.
 */
export function whyNotLower({ volume, victim, weights, requiredCopies, offline }: Lowering): string | undefined {
  const going = volume.replicas.find(({ uuid }) => uuid === victim);
  if (going === undefined) return `replica ${victim} is not there`;
  const staying = volume.replicas.filter((replica) => replica !== going);
  const incomplete = staying.find((replica) => !isComplete(volume, replica));
  if (incomplete !== undefined) return `replica ${incomplete.uuid} is not complete (${stateOf(incomplete)})`;
  if (isComplete(volume, going)) {
    const unsound = unsoundness(volume, offline);
    if (unsound !== undefined) return unsound;
  } else {
    if (volume.specStatus !== "Created") return `the volume is ${volume.specStatus}`;
    if (volume.operation !== undefined) return `${volume.operation} is in progress`;
    if (volume.replicas.length !== volume.count)
      return `the volume is to have ${volume.count} replicas and shows ${volume.replicas.length}`;
  }
  const left = copiesOf(volume, staying, weights);
  return left >= requiredCopies ? undefined : `${left} copies would be left, ${requiredCopies} are needed`;
}
