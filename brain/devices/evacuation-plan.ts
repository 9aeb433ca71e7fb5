/** Which runs have shards on pools that are to be emptied, and in which order they move. Pure. */
import type { PoolStanding } from "../inventory/standing.ts";
import { spareCount } from "../placement/spare.ts";
import type { RunEntry } from "../volumes/run-entry.ts";
import { judgeRun, type RunShape } from "../volumes/run-shape.ts";

export interface EvacuationCandidate {
  name: string;
  volumeUuid: string;
  /** Shards that move. */
  leaving: number[];
  /** Further losses the run would bear if all pools that are failing were gone: the fewest go first. */
  spareWithout: number;
  stripes: number;
}

export interface EvacuationQueue {
  queue: EvacuationCandidate[];
  /** Runs with shards on each of the pools, or that may have some there. */
  runsOn: Map<string, number>;
  /** Runs that somebody changed by hand, and why they are held: nothing is made of what they say, nor is a pool empty because of it. */
  held: { name: string; why: string }[];
}

/** Runs with a shard on one of these pools. Those that lost something for good are repaired first, and only then moved. */
export function planEvacuation(
  runs: Iterable<RunEntry>,
  failing: ReadonlySet<string>,
  standing: (poolUuid: string) => PoolStanding,
): EvacuationQueue {
  const result: EvacuationQueue = { queue: [], runsOn: new Map([...failing].map((pool) => [pool, 0])), held: [] };
  if (failing.size === 0) return result;
  for (const run of runs) {
    if (run.held !== undefined) {
      for (const [pool, count] of result.runsOn) result.runsOn.set(pool, count + 1);
      result.held.push({ name: run.name, why: run.held });
      continue;
    }
    const pools = poolsOfShards(run, failing);
    for (const pool of new Set(pools.values())) result.runsOn.set(pool, (result.runsOn.get(pool) ?? 0) + 1);
    if (pools.size === 0 || run.generation === 0) continue;
    const health = judgeRun(run, standing);
    if (health.uncertain || health.lostColumns.length + health.lostChunks.length > 0) continue;
    const leaving = [...pools.keys()].sort((a, b) => a - b);
    const spareWithout = spareCount(run.code, new Set([...health.missing, ...leaving]));
    const { name, volumeUuid, stripeCount: stripes } = run;
    result.queue.push({ name, volumeUuid, leaving, spareWithout, stripes });
  }
  result.queue.sort((a, b) => a.spareWithout - b.spareWithout || (a.name < b.name ? -1 : 1));
  return result;
}

/** The run's shards on these pools, whole columns and single chunks alike. */
export function poolsOfShards(
  run: Pick<RunShape, "shardLocations" | "exceptions">,
  failing: ReadonlySet<string>,
): Map<number, string> {
  const found = new Map<number, string>();
  for (const { shardIndex, poolUuid } of run.shardLocations) if (failing.has(poolUuid)) found.set(shardIndex, poolUuid);
  for (const { shardIndex, poolUuid, present } of run.exceptions)
    if (present && failing.has(poolUuid) && !found.has(shardIndex)) found.set(shardIndex, poolUuid);
  return found;
}
