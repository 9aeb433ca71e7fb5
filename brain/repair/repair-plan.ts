/** Which runs to repair, in which order, and what holds the others back. Pure. */
import type { PoolStanding } from "../inventory/standing.ts";
import type { RunEntry } from "../volumes/run-entry.ts";
import { runJudge } from "../volumes/run-judge.ts";
import type { RunHealth } from "../volumes/run-shape.ts";

export interface RepairCandidate {
  name: string;
  volumeUuid: string;
  spare: number;
  stripes: number;
  health: Readonly<RunHealth>;
}

export interface RepairQueue {
  /** To be repaired, fewest spare losses first, then by name. */
  queue: RepairCandidate[];
  /** Runs that can't be read: nothing to rebuild from until pools come back. */
  unrecoverable: { name: string; volumeUuid: string; missing: readonly number[] }[];
  /** Runs by spare losses. */
  spare: Map<number, number>;
  /** Runs that lack shards only on pools that may come back yet. */
  waiting: number;
}

/** Judges every run and orders those that lost something for good. */
export function planRepairs(runs: Iterable<RunEntry>, standing: (poolUuid: string) => PoolStanding): RepairQueue {
  const judge = runJudge(standing);
  const result: RepairQueue = { queue: [], unrecoverable: [], spare: new Map(), waiting: 0 };
  for (const run of runs) {
    if (run.generation === 0) continue;
    const health = judge(run);
    const bucket = Math.max(-1, health.spare);
    result.spare.set(bucket, (result.spare.get(bucket) ?? 0) + 1);
    if (health.state === "Unrecoverable")
      result.unrecoverable.push({ name: run.name, volumeUuid: run.volumeUuid, missing: health.missing });
    else if (health.lostColumns.length > 0 || health.lostChunks.length > 0) {
      result.queue.push({
        name: run.name,
        volumeUuid: run.volumeUuid,
        spare: health.spare,
        stripes: run.stripeCount,
        health,
      });
    } else if (health.waiting) result.waiting++;
  }
  result.queue.sort((a, b) => a.spare - b.spare || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  return result;
}

/** Below this many nodes a share says nothing. */
const nodesMinForBrake = 4;

/**
 * The mass-failure brake. When more than `shareMax` of all nodes are away at once the cause is more likely a switch or a power feed than dead disks, and to
 * copy everything would load what is left for nothing. Then only runs that can bear no further loss are repaired. Returns why it is on, or undefined.
 */
export function massFailure(nodes: { total: number; offline: number }, shareMax: number): string | undefined {
  if (nodes.total < nodesMinForBrake || nodes.offline <= nodes.total * shareMax) return undefined;
  return (
    `${nodes.offline} of ${nodes.total} nodes are offline, more than the ${Math.round(shareMax * 100)} % that repair takes for separate failures: ` +
    "only runs that can lose nothing more are repaired. Bring nodes back, or raise --mass-failure-percent"
  );
}

/** What the brake lets through. */
export function brakedQueue(queue: readonly RepairCandidate[], brake: string | undefined): readonly RepairCandidate[] {
  return brake === undefined ? queue : queue.filter((candidate) => candidate.spare <= 0);
}
