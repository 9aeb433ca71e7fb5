/** Where the shards of all groups are while a rebalance is planned, and what one move may do. */
import type { Code } from "@couchestor/common/code/code.ts";
import type { PlacementRule } from "@couchestor/common/crd/ec-volume.ts";
import type { PlacedShard, Placer } from "./placer.ts";
import type { RuleView } from "./rule-view.ts";
import { StripeLoad, shardsPerDomainMax } from "./stripe-load.ts";

/** Stripes that share a placement: a run. */
export interface RebalanceGroup {
  id: string;
  code: Code;
  rule: PlacementRule;
  shards: readonly { shardIndex: number; poolUuid: string }[];
  bytesPerShard: number;
}

/** `evacuate`: its pool left or is offline, or no longer has the labels asked for. `spread`: its failure domain holds more than it must. `balance`: fill. */
export type MoveReason = "evacuate" | "spread" | "balance";

export interface Move {
  groupId: string;
  shardIndex: number;
  fromPoolUuid: string;
  to: PlacedShard;
  reason: MoveReason;
}

export interface GroupState {
  group: RebalanceGroup;
  view: RuleView;
  /** Pool number of each shard, in the order of `group.shards`; −1 for a pool that is not in the snapshot. */
  pools: Int32Array;
  moved: Uint8Array;
}

export function groupState(placer: Placer, group: RebalanceGroup): GroupState {
  return {
    group,
    view: placer.view(group.rule),
    pools: Int32Array.from(group.shards, ({ poolUuid }) => placer.index.indexOf(poolUuid) ?? -1),
    moved: new Uint8Array(group.shards.length),
  };
}

export function loadOf(state: GroupState): StripeLoad {
  const load = new StripeLoad(state.view, state.group.code);
  for (const pool of state.pools) if (pool >= 0) load.add(pool);
  return load;
}

/** Whether the shard may go to `to` without the stripe being spread less evenly than it is. */
export function mayMove(state: GroupState, shard: number, to: number, load = loadOf(state)): boolean {
  const { view, group } = state;
  const from = state.pools[shard] ?? -1;
  if (from < 0 || state.moved[shard] || load.has(to) || !view.index.hasRoom(to, group.bytesPerShard)) return false;
  const sameDomain = view.domainOf[from] === view.domainOf[to];
  const inDomain = load.inDomainOf(to);
  if (!sameDomain && (inDomain >= load.inDomainOf(from) || inDomain >= shardsPerDomainMax(group.code))) return false;
  return view.index.nodeOf[from] === view.index.nodeOf[to] || load.inNodeOf(to) < load.nodeMax;
}

/** Carries the move out in the plan's books and returns it. */
export function recordMove(state: GroupState, shard: number, to: number, reason: MoveReason): Move {
  const { index } = state.view;
  const from = state.pools[shard] ?? -1;
  if (from >= 0) index.addUsed(from, -state.group.bytesPerShard);
  index.addUsed(to, state.group.bytesPerShard);
  return markMoved(state, shard, to, reason);
}

/** As `recordMove`, when the bytes are counted already. */
export function markMoved(state: GroupState, shard: number, to: number, reason: MoveReason): Move {
  const { shardIndex = -1, poolUuid: fromPoolUuid = "" } = state.group.shards[shard] ?? {};
  state.pools[shard] = to;
  state.moved[shard] = 1;
  const { poolUuid, nodeName, poolName } = state.view.index.pool(to);
  return {
    groupId: state.group.id,
    shardIndex,
    fromPoolUuid,
    to: { shardIndex, poolUuid, nodeName, poolName },
    reason,
  };
}
