/** Where a run's shards are, in the form that views, repair and garbage collection reason about. Pure. */
import type { ShardException, ShardLocation } from "@couchestor/common/api/maps.ts";
import { type Code, shardCount } from "@couchestor/common/code/code.ts";
import { currentPlacement, type EcStripeSpec } from "@couchestor/common/crd/ec-stripe.ts";
import type { PoolStanding } from "../inventory/standing.ts";
import { isDecodable, spareCount } from "../placement/spare.ts";

export interface RunShape {
  code: Code;
  generation: number;
  shardLocations: readonly ShardLocation[];
  exceptions: readonly ShardException[];
}

export function shapeOf(spec: EcStripeSpec): RunShape {
  return {
    code: spec.code,
    generation: spec.generation,
    shardLocations: currentPlacement(spec)?.shardLocations ?? [],
    exceptions: spec.exceptions,
  };
}

export interface RunHealth {
  state: "Unwritten" | "Healthy" | "Degraded" | "Unrecoverable";
  /** Shards that at least one stripe lacks now, ascending. */
  missing: number[];
  /** Columns that are to be put elsewhere now: their pool is lost, or no pool is known for them. */
  lostColumns: number[];
  /** Single chunks that are lost while their column is not. */
  lostChunks: { stripe: number; shardIndex: number }[];
  /** Further losses the worst stripe bears; negative when it can't be read. */
  spare: number;
  /** A pool's standing is not known yet, so nothing is to be concluded. */
  uncertain: boolean;
  /** Some missing shards are on pools that may come back. */
  waiting: boolean;
}

/** Judges a run by its pools' standings. */
export function judgeRun(run: RunShape, standing: (poolUuid: string) => PoolStanding): RunHealth {
  const health: RunHealth = {
    state: "Unwritten",
    missing: [],
    lostColumns: [],
    lostChunks: [],
    spare: 0,
    uncertain: false,
    waiting: false,
  };
  if (run.generation === 0) return health;
  const missingColumns = new Set<number>();
  const byShard = new Map(run.shardLocations.map((l) => [l.shardIndex, l]));
  for (let shard = 0; shard < shardCount(run.code); shard++) {
    const location = byShard.get(shard);
    const is = location ? standing(location.poolUuid) : "lost";
    if (is === "unknown") health.uncertain = true;
    if (is === "ok" || is === "unknown") continue;
    missingColumns.add(shard);
    if (is === "lost") health.lostColumns.push(shard);
    else health.waiting = true;
  }
  const worst = judgeExceptions(run, standing, missingColumns, health);
  const all = new Set(missingColumns);
  for (const exception of run.exceptions) if (isMissing(exception, standing)) all.add(exception.shardIndex);
  health.missing = [...all].sort((a, b) => a - b);
  health.spare = spareCount(run.code, worst);
  health.state = all.size === 0 ? "Healthy" : isDecodable(run.code, worst) ? "Degraded" : "Unrecoverable";
  return health;
}

/** The shards that the worst stripe lacks. An exception replaces its column for that stripe, so it may also be better off than the column. */
function judgeExceptions(
  run: RunShape,
  standing: (poolUuid: string) => PoolStanding,
  missingColumns: ReadonlySet<number>,
  health: RunHealth,
): ReadonlySet<number> {
  let worst: ReadonlySet<number> = missingColumns;
  const byStripe = Map.groupBy(run.exceptions, (e) => e.stripe);
  for (const [stripe, exceptions] of byStripe) {
    const lost = new Set(missingColumns);
    for (const exception of exceptions) {
      const gone = isMissing(exception, standing);
      if (gone) lost.add(exception.shardIndex);
      else lost.delete(exception.shardIndex);
      const definite = !exception.present || standing(exception.poolUuid) === "lost";
      if (gone && definite && !missingColumns.has(exception.shardIndex)) {
        health.lostChunks.push({ stripe, shardIndex: exception.shardIndex });
      } else if (gone && !definite) health.waiting = true;
    }
    if (spareCount(run.code, lost) < spareCount(run.code, worst)) worst = lost;
  }
  return worst;
}

function isMissing(exception: ShardException, standing: (poolUuid: string) => PoolStanding): boolean {
  if (!exception.present) return true;
  const is = standing(exception.poolUuid);
  return is === "away" || is === "lost";
}

/** Where the committed copy of one chunk is, or undefined when the map says there is none. */
export function committedCopy(
  run: RunShape,
  stripe: number,
  shardIndex: number,
): { poolUuid: string; putEpoch: number; putAct: number } | undefined {
  const exception = run.exceptions.find((e) => e.stripe === stripe && e.shardIndex === shardIndex);
  if (exception) return exception.present ? exception : undefined;
  return run.shardLocations.find((l) => l.shardIndex === shardIndex);
}
