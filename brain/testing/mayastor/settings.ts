/** How this Mayastor is set up. */

export interface MayastorSettings {
  version: { minor: number; patch: number };
  /** Every so often the core asks each node anew; in between REST shows what was. */
  cachePeriodMs: number;
  /** From a node's crash until the core calls it offline. */
  nodeOfflineMs: number;
  /** From the loss of a replica until the nexus gives its child up: anything between. */
  childFaultMs: readonly [number, number];
  reconcileMs: number;
  /** How long a faulted child is waited for before it is replaced. */
  faultedChildWaitMs: number;
  rebuildBytesPerSecond: number;
  /** Rebuilds at once in the cluster, by the cache's account. */
  rebuildsMax: number | undefined;
  /** REST answers 503 after this time, whatever becomes of the request. */
  requestCutMs: number;
  /** Targets of crashed nodes are moved to others. */
  highAvailability: boolean;
}

/** 2.10 with the settings that its chart has. */
export const mayastorSettings: MayastorSettings = {
  version: { minor: 10, patch: 0 },
  cachePeriodMs: 30_000,
  nodeOfflineMs: 9_000,
  childFaultMs: [2_000, 25_000],
  reconcileMs: 10_000,
  faultedChildWaitMs: 600_000,
  rebuildBytesPerSecond: 100e6,
  rebuildsMax: undefined,
  requestCutMs: 5_000,
  highAvailability: true,
};

/** Whether it is this version or a newer one. */
export function atLeast(settings: MayastorSettings, minor: number, patch = 0): boolean {
  const { version } = settings;
  return version.minor > minor || (version.minor === minor && version.patch >= patch);
}
