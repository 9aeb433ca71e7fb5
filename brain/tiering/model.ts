/** What tiering knows of volumes, pools and policies, whatever told it; and what it decides. */
import type { LabelSelector } from "@couchestor/common/crd/label-selector.ts";
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import type { Heat } from "./heat.ts";
import type { Watermarks } from "./watermarks.ts";

export interface TieredPool {
  name: string;
  nodeName: string;
  /** As the control plane reports them; labels of Kubernetes objects mean nothing to its scheduler. */
  labels: Readonly<Record<string, string>>;
  freeBytes: number;
  /** Why nothing can be placed there at present. */
  unusable?: string;
}

export interface TieredReplica {
  uuid: string;
  /** Not known while the control plane doesn't say. */
  poolName: string | undefined;
  nodeName: string | undefined;
}

export interface TieredVolume {
  /** As the control plane names it; the PersistentVolume's volumeHandle. */
  uuid: string;
  /** The PersistentVolume. */
  name: string;
  claim: { namespace: string; name: string; labels: Readonly<Record<string, string>> };
  storageClassName: string;
  sizeBytes: number;
  /** Undefined when the control plane doesn't have the volume. */
  replicas: readonly TieredReplica[] | undefined;
  /** Labels that its pools must have; an empty value stands for any. */
  requiredPoolLabels: Readonly<Record<string, string>>;
  /** Text of the annotation that says when it was moved last. */
  lastMigration?: string;
  /** How many replicas it had before erasure coding made one enough, as an annotation says; undefined without one. */
  replicaCountBefore?: string;
  /** What keeps it from being moved at all, or for a while. */
  blocked?: Block;
}

/** Why something is not done that should be. */
export interface Block {
  action: "wait" | "refuse";
  reason: Reason;
  message: string;
  notBeforeMs?: number;
}

/** Cold pools that stand on erasure coding. */
export interface ErasureCodedTier {
  policyRef: string;
  /** Smaller volumes don't go there. */
  volumeBytesMin: number;
  /** What is known of the pools' ECVolumes, by their names. */
  volumes: ReadonlyMap<string, { policyRef: string | undefined; whole: boolean | undefined }>;
}

export interface TieringPolicy {
  name: string;
  createdMs: number;
  enabled: boolean;
  dryRun: boolean;
  /** Old replicas are kept: volumes end on two tiers at once. */
  preservationMode: boolean;
  watermarks: Watermarks;
  windowMs: number;
  cooldownMs: number;
  maxConcurrent: number;
  /** Bytes that its migrations may begin to copy a second; undefined: no limit. */
  bytesPerSecond?: number;
  /** Why none of its migrations may begin now. */
  hold?: Block;
  erasureCoded?: ErasureCodedTier;
  storageClassName: string;
  volumeSelector: LabelSelector | undefined;
  poolSelectors: Readonly<Record<Tier, LabelSelector | undefined>>;
  /** When each volume was moved last by this policy, as its status remembers. */
  lastMoves: ReadonlyMap<string, number>;
  /** What is wrong with it: with any of these it watches and counts, and moves nothing. */
  problems: readonly string[];
}

/** A migration that is under way. */
export interface ActiveMove {
  policyName: string | undefined;
  volumeUuid: string;
  toTier: Tier;
  /** Where its new replicas go. */
  toPools: readonly string[];
}

/** `none`: on pools of no tier. `unknown`: the pools are not known, or belong to two tiers. */
export type VolumeTier = Tier | "mixed" | "none" | "unknown";

/** stay: nothing to do. wait: later. refuse: can't be done until something changes. moving: under way. move: now. */
export type Action = "stay" | "wait" | "refuse" | "moving" | "move";

export type Reason =
  | "OnTargetTier"
  | "BetweenWatermarks"
  | "Hysteresis"
  | "Preserved"
  | "HeatUnknown"
  | "TierUnknown"
  | "PolicyInvalid"
  | "MigrationActive"
  | "Cooldown"
  | "AnnotationUnreadable"
  | "PolicyConcurrency"
  | "GlobalConcurrency"
  | "NoPools"
  | "NoUsablePool"
  | "PinnedByTopology"
  | "NoSpareNode"
  | "NotEnoughSpace"
  | "SelfHealOff"
  | "Snapshots"
  | "NotPublished"
  | "AffinityGroup"
  | "UnsupportedVersion"
  | "VolumeNotReady"
  | "FailedBefore"
  | "Paused"
  | "OutsideWindow"
  | "BytesPerSecond"
  | "Hot"
  | "Warm"
  | "Cold"
  | "FinishMixed";

export interface ReplicaMove {
  replicaUuid: string;
  fromPool: string;
  fromNode: string;
  toPool: string;
  toNode: string;
  /** What would be left free there. */
  freeBytesAfter: number;
}

export interface PlanEntry {
  policyName: string;
  volume: TieredVolume;
  tier: VolumeTier;
  heat: Heat;
  /** Where it should be; undefined if it should stay where it is, or that can't be told. */
  target: Tier | undefined;
  action: Action;
  reason: Reason;
  /** In words: which figure, which limit, what follows. */
  message: string;
  /** With `move`, and with `wait` as it would be now. */
  moves: readonly ReplicaMove[];
  /** With moves: pools of the target tier that new replicas may be placed on, best first. */
  targetPools: readonly string[];
  /** With moves: how many replicas there are to be in the end. */
  finalReplicaCount?: number;
  /** Shown only, not done. */
  dryRun: boolean;
  /** With Cooldown: when it ends. */
  notBeforeMs?: number;
}

export interface PolicyPlan {
  policy: TieringPolicy;
  /** By name of the volume. */
  entries: PlanEntry[];
  /** Those of them that would move, the most urgent first, whether it is their turn or not. */
  moves: PlanEntry[];
  watched: number;
  tiers: Record<VolumeTier, number>;
  heatUnknown: number;
  /** Of which the tier or the heat is not known. */
  unknown: number;
  active: number;
  /** Volumes that an older policy claims too, by that policy's name. */
  contested: { winner: string; volumes: number; examples: string[] }[];
  poolsInTwoTiers: string[];
  /** Tiers whose selector selects no pool. */
  emptyTiers: { tier: Tier; selector: string }[];
}

/** All decisions, in order of urgency within `moves`; the same for the same input, in whatever order it came. */
export interface Plan {
  policies: PolicyPlan[];
  moves: PlanEntry[];
}
