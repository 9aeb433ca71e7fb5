/** A run as the index keeps it, for tests of what is planned for it. */
import type { RunEntry } from "../run-entry.ts";

/** One of 4+2 in generation 1 with a shard on each of these pools. */
export function sampleRun(name: string, pools: readonly string[], more: Partial<RunEntry> = {}): RunEntry {
  const at = { nodeName: "n", poolName: "p", putEpoch: 1, putAct: 1 };
  return {
    name,
    volumeName: "v",
    volumeUuid: "u",
    firstStripe: 0,
    stripeCount: 4,
    encodeEpoch: 1,
    encodeAct: 1,
    placementVersion: 1,
    authority: "store",
    fencedEpoch: 1,
    revision: 1,
    held: undefined,
    bytes: 1,
    state: "Healthy",
    shown: "Healthy",
    missing: [],
    lastScrubIso: undefined,
    code: { family: "rs", k: 4, m: 2 },
    generation: 1,
    shardLocations: pools.map((poolUuid, shardIndex) => ({ shardIndex, poolUuid, ...at })),
    exceptions: [],
    ...more,
  };
}
