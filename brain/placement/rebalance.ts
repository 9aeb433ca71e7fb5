/** Which shards to move so that every stripe is where its rule wants it and no pool is much fuller than the others; pure. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { Balancer } from "./balance.ts";
import { Placer } from "./placer.ts";
import {
  type GroupState,
  groupState,
  loadOf,
  type Move,
  markMoved,
  mayMove,
  type RebalanceGroup,
  recordMove,
} from "./rebalance-state.ts";
import type { RuleView } from "./rule-view.ts";
import type { TopologySnapshot } from "./topology.ts";

export interface RebalanceRequest {
  groups: readonly RebalanceGroup[];
  /**
   * As it shall be from now on; `usedBytes` as it is now. Shards in pools that are missing or offline here are planned elsewhere: leave a
   * node that is merely away for a moment online.
   */
  topology: TopologySnapshot;
  movesMax?: number;
  /** How far from the mean a pool's fill may be before data moves, as a part of the mean: 0.05 is 5 %. */
  tolerance: number;
}

export interface RebalancePlan {
  /** Most urgent first: evacuate, spread, balance. No shard twice. */
  moves: Move[];
  /** False if `movesMax` cut it short. */
  complete: boolean;
  /** Shards that must move and can't, with the reason. */
  stuck: { groupId: string; shardIndexes: number[]; error: AppError }[];
}

/** Plans the moves. Throws `InvalidArgument` for a tolerance outside 0 … 1 and for what `TopologyIndex` refuses. */
export function planRebalance(request: RebalanceRequest): RebalancePlan {
  if (!(request.tolerance >= 0 && request.tolerance <= 1)) {
    throw new AppError("InvalidArgument", `rebalance: tolerance: got ${request.tolerance}; allowed: 0 to 1`, {
      data: { field: "tolerance", got: request.tolerance },
    });
  }
  const placer = new Placer(request.topology);
  const states = request.groups.map((group) => groupState(placer, group));
  const plan: RebalancePlan = { moves: [], complete: true, stuck: [] };
  const movesMax = request.movesMax ?? Number.POSITIVE_INFINITY;
  for (const move of allMoves(placer, states, request.tolerance, plan.stuck)) {
    if (plan.moves.length >= movesMax) {
      plan.complete = false;
      break;
    }
    plan.moves.push(move);
  }
  return plan;
}

function* allMoves(
  placer: Placer,
  states: readonly GroupState[],
  tolerance: number,
  stuck: RebalancePlan["stuck"],
): Generator<Move> {
  for (const state of states) yield* evacuate(placer, state, stuck);
  for (const state of states) yield* spread(state);
  const byView = new Map<RuleView, GroupState[]>();
  for (const state of states) {
    const same = byView.get(state.view);
    if (same) same.push(state);
    else byView.set(state.view, [state]);
  }
  for (const [view, same] of byView) yield* new Balancer(view, same, tolerance).moves();
}

/** Whether a shard may stay in the pool: a pool that is only full or read-only keeps what it has. */
function maySit(view: RuleView, pool: number): boolean {
  const why = view.excluded.get(pool);
  return pool >= 0 && why !== "offline" && why !== "labelMismatch";
}

function* evacuate(placer: Placer, state: GroupState, stuck: RebalancePlan["stuck"]): Generator<Move> {
  const { group, view } = state;
  const leaving = [...group.shards.keys()].filter((shard) => !maySit(view, state.pools[shard] ?? -1));
  if (leaving.length === 0) return;
  const shardIndexes = leaving.map((shard) => group.shards[shard]?.shardIndex ?? -1);
  const keep = group.shards.filter((_, shard) => !leaving.includes(shard));
  const { id, code, rule, bytesPerShard } = group;
  const request = { code, rule, keep, shardIndexes, bytesPerShard, seed: Bun.hash.crc32(id) };
  const { placed, shortage } = placer.placeAsMany(request);
  for (const to of placed) {
    const shard = group.shards.findIndex(({ shardIndex }) => shardIndex === to.shardIndex);
    const from = state.pools[shard] ?? -1;
    if (from >= 0) placer.index.addUsed(from, -bytesPerShard);
    yield markMoved(state, shard, placer.index.indexOf(to.poolUuid) ?? -1, "evacuate");
  }
  if (shortage) stuck.push({ groupId: id, shardIndexes: shardIndexes.slice(placed.length), error: shortage });
}

/** Moves shards out of domains that hold two or more than another that could take them. */
function* spread(state: GroupState): Generator<Move> {
  const { view, pools } = state;
  const load = loadOf(state);
  if (load.domainsWith(2) === 0) return;
  for (const [shard, from] of pools.entries()) {
    if (from < 0 || state.moved[shard] || load.inDomainOf(from) < 2) continue;
    if (load.domainsWith(load.inDomainOf(from) - 1) >= view.domainNames.length) continue;
    const to = emptiestOf(
      view,
      (pool) => load.inDomainOf(pool) + 2 <= load.inDomainOf(from) && mayMove(state, shard, pool, load),
    );
    if (to === undefined) continue;
    load.remove(from);
    load.add(to);
    yield recordMove(state, shard, to, "spread");
  }
}

function emptiestOf(view: RuleView, admits: (pool: number) => boolean): number | undefined {
  let best: number | undefined;
  for (const pool of view.eligible) {
    if (best !== undefined && view.index.fill(pool) >= view.index.fill(best)) continue;
    if (admits(pool)) best = pool;
  }
  return best;
}
