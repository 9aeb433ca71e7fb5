/**
 * Balance by fill among the pools of one rule. Nothing moves while every pool is within the tolerance of the mean. A pool below it is filled up
 * to the mean from the fullest ones, one above it is drained into the emptiest ones until it is within: a node that joins gets its fair share
 * and no other data moves.
 */
import { FillHeap } from "./fill-heap.ts";
import { type GroupState, loadOf, type Move, mayMove, recordMove } from "./rebalance-state.ts";
import type { RuleView } from "./rule-view.ts";

/** How many pools, and shards in a pool, are tried for one move before it is given up. */
const partnersMax = 32;
const shardsTriedMax = 64;

export class Balancer {
  readonly #view: RuleView;
  readonly #tolerance: number;
  readonly #mean: number;
  /** Pool → shards on it that may still move, in the order they are tried from the end. */
  readonly #onPool = new Map<number, { state: GroupState; shard: number }[]>();
  readonly #emptiest: FillHeap;
  readonly #fullest: FillHeap;

  /** `states` are the groups of this rule. */
  constructor(view: RuleView, states: readonly GroupState[], tolerance: number) {
    this.#view = view;
    this.#tolerance = tolerance;
    const pools = view.eligible.filter((pool) => (view.index.capacityBytes[pool] ?? 0) > 0);
    this.#mean = meanFill(view, pools);
    const fill = (pool: number) => view.index.fill(pool);
    this.#emptiest = new FillHeap("emptiest", pools, fill);
    this.#fullest = new FillHeap("fullest", pools, fill);
    for (const pool of pools) this.#onPool.set(pool, []);
    for (const state of states) {
      for (const [shard, pool] of state.pools.entries()) {
        if (!state.moved[shard]) this.#onPool.get(pool)?.push({ state, shard });
      }
    }
  }

  /** Moves, one by one. */
  *moves(): Generator<Move> {
    yield* this.#work(this.#emptiest, this.#fullest, {
      starts: (fill) => fill < this.#mean * (1 - this.#tolerance),
      ends: (fill) => fill >= this.#mean,
      move: (needy, partner) => this.#moveOne(partner, needy),
    });
    yield* this.#work(this.#fullest, this.#emptiest, {
      starts: (fill) => fill > this.#mean * (1 + this.#tolerance),
      ends: (fill) => fill <= this.#mean * (1 + this.#tolerance),
      move: (needy, partner) => this.#moveOne(needy, partner),
    });
  }

  *#work(needyFirst: FillHeap, partnersFirst: FillHeap, side: Side): Generator<Move> {
    for (;;) {
      const needy = needyFirst.pop();
      if (needy === undefined) return;
      if (!side.starts(this.#view.index.fill(needy))) {
        needyFirst.push(needy);
        return;
      }
      while (!side.ends(this.#view.index.fill(needy))) {
        const move = this.#withPartner(needy, needyFirst, partnersFirst, side);
        if (!move) break;
        yield move;
      }
      // A pool that nothing more can be done for is not looked at again; it may still be of use to others.
      if (side.ends(this.#view.index.fill(needy))) needyFirst.push(needy);
      partnersFirst.push(needy);
    }
  }

  #withPartner(needy: number, needyFirst: FillHeap, partnersFirst: FillHeap, side: Side): Move | undefined {
    const tried: number[] = [];
    let move: Move | undefined;
    while (!move && tried.length < partnersMax) {
      const partner = partnersFirst.pop();
      if (partner === undefined) break;
      if (partner === needy) continue;
      tried.push(partner);
      move = side.move(needy, partner);
      if (move) needyFirst.push(partner);
    }
    for (const pool of tried) partnersFirst.push(pool);
    return move;
  }

  /** A move from one pool to the other that leaves the other less full than the first was. */
  #moveOne(from: number, to: number): Move | undefined {
    const { index } = this.#view;
    const shards = this.#onPool.get(from) ?? [];
    const last = shards.length - 1;
    for (let at = last; at >= 0 && last - at < shardsTriedMax; at--) {
      const entry = shards[at];
      if (!entry) continue;
      const { state, shard } = entry;
      const bytes = state.group.bytesPerShard;
      if (bytes === 0 || index.fill(to, bytes) >= index.fill(from)) continue;
      if (!mayMove(state, shard, to, loadOf(state))) continue;
      shards[at] = shards[last] ?? entry;
      shards.pop();
      return recordMove(state, shard, to, "balance");
    }
    return undefined;
  }
}

interface Side {
  starts(fill: number): boolean;
  ends(fill: number): boolean;
  move(needy: number, partner: number): Move | undefined;
}

function meanFill({ index }: RuleView, pools: readonly number[]): number {
  let used = 0;
  let capacity = 0;
  for (const pool of pools) {
    used += index.usedBytes[pool] ?? 0;
    capacity += index.capacityBytes[pool] ?? 0;
  }
  return capacity > 0 ? used / capacity : 0;
}
