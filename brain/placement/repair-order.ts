/** In which order degraded runs are repaired: those that bear the fewest further losses first; pure. */
import { type Code, shardCount } from "@couchestor/common/code/code.ts";
import { shardsShort } from "./decode-rank.ts";
import { spareCount } from "./spare.ts";

export interface DegradedRun<Lost extends { shardIndex: number } = { shardIndex: number }> {
  id: string;
  code: Code;
  /** Shards on pools that can be read. A shard that is in neither list, or in both, counts as lost. */
  presentShards: ReadonlySet<number>;
  /** The lost ones, with whatever the caller wants to say of them: pool, node. */
  lost: readonly Lost[];
}

export interface QueuedRun<Run> {
  run: Run;
  /** Further losses, whichever they are, that it bears. */
  spare: number;
  lostCount: number;
}

export interface UnrecoverableRun<Run, Lost> {
  run: Run;
  /** What it misses. */
  missing: readonly Lost[];
  /** How many of these must come back, at best, before it can be read again. */
  shardsShort: number;
}

export interface RepairOrder<Run, Lost> {
  queue: QueuedRun<Run>[];
  unrecoverable: UnrecoverableRun<Run, Lost>[];
}

/** Sorts: fewest spare first, then most lost, then by id. Runs that lost nothing are left out. The same runs in any order give the same answer. */
export function repairOrder<Lost extends { shardIndex: number }, Run extends DegradedRun<Lost>>(
  runs: readonly (Run & DegradedRun<Lost>)[],
): RepairOrder<Run, Lost> {
  const order: RepairOrder<Run, Lost> = { queue: [], unrecoverable: [] };
  for (const run of runs) {
    const lost = lostShards(run);
    if (lost.size === 0) continue;
    const spare = spareCount(run.code, lost);
    if (spare >= 0) order.queue.push({ run, spare, lostCount: lost.size });
    else order.unrecoverable.push({ run, missing: run.lost, shardsShort: shardsShort(run.code, lost) });
  }
  order.queue.sort((a, b) => a.spare - b.spare || b.lostCount - a.lostCount || byId(a, b));
  order.unrecoverable.sort(byId);
  return order;
}

function lostShards(run: DegradedRun): Set<number> {
  const lost = new Set<number>();
  const known = new Set(run.lost.map(({ shardIndex }) => shardIndex));
  for (let shard = 0; shard < shardCount(run.code); shard++) {
    if (known.has(shard) || !run.presentShards.has(shard)) lost.add(shard);
  }
  return lost;
}

function byId(a: { run: { id: string } }, b: { run: { id: string } }): number {
  return a.run.id < b.run.id ? -1 : a.run.id > b.run.id ? 1 : 0;
}
