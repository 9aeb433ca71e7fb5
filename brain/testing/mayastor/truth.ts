/** What really is: which disks hold which bytes, and what the control plane has written down. REST shows an older picture of it. */

/** Carried by every pool that the operator made. */
export const internalLabel = "openebs.io/created-by";

/** Who is behind a change: the program under test, Mayastor by itself, a fault that was injected, or a person. */
export type Actor = "us" | "mayastor" | "fault" | "admin";

export interface TruthNode {
  id: string;
  labels: Record<string, string>;
  up: boolean;
  /** Counted by label. */
  cordons: Set<string>;
  /** A write of this node's record failed: the core refuses all others of it until it is restarted. */
  dirty: boolean;
}

export interface PoolCordon {
  replicas: boolean;
  snapshots: boolean;
  restores: boolean;
  import: boolean;
}

export interface TruthPool {
  id: string;
  node: string;
  labels: Record<string, string>;
  status: "Online" | "Degraded" | "Faulted";
  /** Its disk is gone, and what was on it. */
  lost: boolean;
  capacityBytes: number;
  /** Used by volumes that are not modelled. */
  otherBytes: number;
  /** A bitmap: nobody counts who set which bit. */
  cordon: PoolCordon;
  /** It stands on an erasure-coded volume that bears this many losses, while all its stripes are healthy. */
  erasureCoded?: { lossesMax: number; healthy: boolean } | undefined;
  /** It refuses to create replicas, although it looks well. */
  refusesReplicas: boolean;
}

export interface TruthReplica {
  uuid: string;
  volume: string;
  pool: string;
  allocatedBytes: number;
  /** Holds all data that was ever acknowledged to the volume's user. */
  complete: boolean;
  /** Named by the volume's record. Without an owner it is removed sooner or later. */
  owned: boolean;
  /** Chosen for removal, which can't be stopped any more: it counts for nothing. */
  condemned: boolean;
  /** What an increase left behind that was rolled back: nobody touches it before then. */
  leftoverUntilMs?: number;
}

export interface TruthChild {
  replica: string;
  state: "Online" | "Degraded" | "Faulted";
  outOfSpace?: boolean;
  faultedAtMs?: number;
  rebuild?: { startedMs: number; durationMs: number; stalledAt?: number; cancel: () => void };
}

export interface RebuildRecord {
  replica: string;
  source: string;
  state: "Completed" | "Failed" | "Stopped";
  startedMs: number;
  endedMs: number;
}

export interface TruthNexus {
  uuid: string;
  node: string;
  children: TruthChild[];
  history: RebuildRecord[];
  /** Made after an unclean end: replicas that it doesn't use are not taken up again. */
  afterCrash: boolean;
}

export interface TruthVolume {
  uuid: string;
  sizeBytes: number;
  numReplicas: number;
  thin: boolean;
  selfHeal: boolean;
  snapshots: number;
  /** Where it is meant to be published; the nexus may be absent all the same. */
  target: string | undefined;
  nexus: TruthNexus | undefined;
  poolInclusion: Record<string, string>;
  poolExclusion: Record<string, string>;
  affinityGroup: string | undefined;
  operation: string | undefined;
  replicas: Map<string, TruthReplica>;
  /** What the nexus wrote into the store: who is healthy. Absent until it was published for the first time. */
  nexusInfo: { healthy: Map<string, boolean>; clean: boolean } | undefined;
  /** An operation holds the volume's guard. */
  busy: { by: Actor; abandon: () => void } | undefined;
}

/** A change of what really is, with the healthy copies of the volume before and after it. */
export interface Transition {
  atMs: number;
  volume: string;
  by: Actor;
  what: string;
  copiesBefore: number;
  copiesAfter: number;
  /** Replicas that the volume's record asks for. */
  countBefore: number;
  countAfter: number;
  deleted: boolean;
}
