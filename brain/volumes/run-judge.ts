/**
 * Judging very many runs at one moment. Most have no exceptions, and then only the code and the standing of each column matter: as many
 * different judgements as there are combinations of lost pools, and not one made anew for each of 100,000 runs.
 */
import { type Code, shardCount } from "@couchestor/common/code/code.ts";
import type { PoolStanding } from "../inventory/standing.ts";
import { judgeRun, type RunHealth, type RunShape } from "./run-shape.ts";

/** Two bits a shard, in a number that is exact. */
const shardsInKeyMax = 26;
const judgementsMax = 10_000;
const digits: Readonly<Record<PoolStanding, number>> = { ok: 0, away: 1, lost: 2, unknown: 3 };

/**
 * As `judgeRun`, for any number of runs by the standings as they are now: for one pass, and not to be kept. Judgements are shared, and nobody
 * may change them.
 */
export function runJudge(standing: (poolUuid: string) => PoolStanding): (run: RunShape) => Readonly<RunHealth> {
  const standings = new Map<string, PoolStanding>();
  const cached = (pool: string): PoolStanding => {
    const known = standings.get(pool) ?? standing(pool);
    standings.set(pool, known);
    return known;
  };
  const byCode = new Map<Code, Map<number, RunHealth>>();
  return (run) => {
    const key = keyOf(run, cached);
    if (key === undefined) return judgeRun(run, cached);
    const judgements = byCode.get(run.code) ?? new Map<number, RunHealth>();
    byCode.set(run.code, judgements);
    const known = judgements.get(key);
    if (known !== undefined) return known;
    const health = judgeRun(run, cached);
    if (judgements.size < judgementsMax && byCode.size < judgementsMax) judgements.set(key, health);
    return health;
  };
}

/** Equal for runs of one code whose judgement is the same; undefined for those that are judged one by one. */
function keyOf(run: RunShape, standing: (poolUuid: string) => PoolStanding): number | undefined {
  if (run.generation === 0) return -1;
  const count = shardCount(run.code);
  const { shardLocations, exceptions } = run;
  if (exceptions.length > 0 || count > shardsInKeyMax || shardLocations.length !== count) return undefined;
  let key = 0;
  for (let i = 0; i < count; i++) {
    const location = shardLocations[i];
    if (location === undefined || location.shardIndex !== i) return undefined;
    key = key * 4 + digits[standing(location.poolUuid)];
  }
  return key;
}
