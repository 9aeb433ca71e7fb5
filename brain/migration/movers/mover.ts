/**
 * How new and leaving replicas are steered. The control plane has no call that moves a replica, nor one that says where the next one goes or
 * which one leaves; what can be had is that all other places are closed, and that it prefers to take a certain one away.
 */
import type { HeldSteering } from "@couchestor/common/crd/migration.ts";
import type { ClusterView, LabelRule, VolumeView } from "../view.ts";

/** Something to be set at the control plane for a while, and taken back. */
export type Steering = Pick<HeldSteering, "kind" | "target" | "detail">;

export type SteeringPlan =
  | {
      /** To be set, all of them. */
      items: Steering[];
      /** Where the new replica may then land. */
      pools: string[];
    }
  | { refused: "AmbiguousPlacement" | "SteeringIneffective"; message: string };

export interface PlacementQuestion {
  volume: VolumeView;
  cluster: ClusterView;
  /** Pools that can take the replica, all of them wanted. */
  targets: readonly string[];
  /** Every pool that the server might choose, by name; a superset of the targets. */
  possible: readonly string[];
  /** Closed by somebody else, or known not to be there: not ours to set. */
  leaveAlone: ReadonlySet<string>;
  /** For labels that must be told apart: `couchestor-1b2c3d4e-7`. */
  label: string;
  allowAmbiguous: boolean;
}

export interface RemovalQuestion {
  volume: VolumeView;
  cluster: ClusterView;
  victim: string;
  label: string;
}

/** What may be in flight at a time in the whole cluster. */
export type LockKind = "placement" | "removal";

export interface ReplicaMover {
  readonly name: "PoolCordon" | "NodeCordon" | "LabelSteering";
  placement(question: PlacementQuestion): SteeringPlan;
  removal(question: RemovalQuestion): SteeringPlan;
  /** Which locks a step needs, since its steering would disturb others'. */
  locks(step: LockKind): readonly LockKind[];
}

/** The most that a journal can hold. */
export const steeringMax = 256;

/** A node cordon on the node of the replica that is to go: servers from 2.9 on take that one first. */
export function cordonVictim({ volume, victim, label }: RemovalQuestion): SteeringPlan {
  const node = volume.replicas.find(({ uuid }) => uuid === victim)?.node;
  if (node === undefined)
    return { refused: "SteeringIneffective", message: `the node of replica ${victim} is not told` };
  return { items: [{ kind: "NodeCordon", target: node, detail: label }], pools: [] };
}

/** The key that pools must have for the volume with any value: taking it off a pool closes that pool for the volume. */
export function freeTierKey({ inclusion }: LabelRule): string | undefined {
  return Object.entries(inclusion).find(([key, value]) => value === "" && !key.startsWith("openebs.io/"))?.[0];
}

export function tooMany(count: number): SteeringPlan {
  return {
    refused: "AmbiguousPlacement",
    message: `${count} pools or nodes would have to be closed for the time of a step; at most ${steeringMax} are`,
  };
}
