/** How migrations are carried out: times, limits, and what an administrator must allow in so many words. */

export interface MigrationSettings {
  /**
   * What has been asked for, with whatever answer, counts as settled when reads were equal over more than this time. It must exceed the age of
   * the server's cache (30 s unless its administrator changed it) and its own deadlines.
   */
  settleMs: number;
  /** Reads that such a time must hold at least. */
  settleReadsMin: number;
  /** Between two looks at a migration at work. */
  pollMs: number;
  /** The same while a replica is being filled and nothing else is waited for. */
  copyPollMs: number;
  /** A rebuild without any progress for so long has failed. */
  stallMs: number;
  /** For how long a volume that isn't ready (not Online, an operation under way) is waited for before anything is done to it. */
  preflightMsMax: number;
  /** For how long it is tried to give the volume back the replicas it had; what is left then is told in the outcome. Cordons are never given up. */
  rollbackMsMax: number;
  /** Attempts at one step before it has failed. */
  attemptsMax: number;
  /** The server's limit on rebuilds at once, and ours on replicas being filled. */
  rebuildsMax: number;
  allow: MigrationAllowances;
}

/** Each lifts one refusal. All are false unless an administrator says otherwise. */
export interface MigrationAllowances {
  /** Snapshots stay behind on the old pools, whose space is not freed. Lifts `Snapshots`. */
  snapshots: boolean;
  /** Mayastor 2.7.3 to 2.8: pools lose their tier label for the time of a step. Lifts `UnsupportedVersion` there. */
  labelSteering: boolean;
  /** With no spare node and three replicas or more: one is removed before its successor is made. Lifts `NoSpareNode`. */
  shrinkThenGrow: boolean;
  /** The same with two replicas: one copy is left for the time of a rebuild. */
  shrinkTwoReplicas: boolean;
  /** A new replica may land on a pool of another tier; then it is removed and placed again. Lifts `AmbiguousPlacement`. */
  ambiguousPlacement: boolean;
  /** Mayastor 2.12 and newer with its offline rebuild switched on: unpublished volumes are moved too. Lifts `NotPublished`. */
  offlineRebuild: boolean;
}

export const noAllowances: MigrationAllowances = {
  snapshots: false,
  labelSteering: false,
  shrinkThenGrow: false,
  shrinkTwoReplicas: false,
  ambiguousPlacement: false,
  offlineRebuild: false,
};

export const migrationSettings: MigrationSettings = {
  settleMs: 36_000,
  settleReadsMin: 3,
  pollMs: 5_000,
  copyPollMs: 10_000,
  stallMs: 600_000,
  preflightMsMax: 300_000,
  rollbackMsMax: 7_200_000,
  attemptsMax: 3,
  rebuildsMax: 10,
  allow: noAllowances,
};
