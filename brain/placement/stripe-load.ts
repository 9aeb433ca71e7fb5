/** What one stripe puts where so far: pools it uses, shards a failure domain and a node hold. The constraints of placement are here. */
import { type Code, lossesTolerated } from "@couchestor/common/code/code.ts";
import type { RuleView } from "./rule-view.ts";

/** How many shards of a stripe one failure domain, or one node, may hold at most: as many as may be lost (and one at least). */
export function shardsPerDomainMax(code: Code): number {
  return Math.max(1, lossesTolerated(code));
}

export class StripeLoad {
  readonly #view: RuleView;
  readonly #pools = new Set<number>();
  readonly #domains = new Map<number, number>();
  readonly #nodes = new Map<number, number>();
  readonly nodeMax: number;

  constructor(view: RuleView, code: Code) {
    this.#view = view;
    this.nodeMax = shardsPerDomainMax(code);
  }

  add(pool: number): void {
    this.#pools.add(pool);
    this.#count(pool, 1);
  }

  remove(pool: number): void {
    this.#pools.delete(pool);
    this.#count(pool, -1);
  }

  has(pool: number): boolean {
    return this.#pools.has(pool);
  }

  inDomainOf(pool: number): number {
    return this.#domains.get(this.#view.domainOf[pool] ?? -1) ?? 0;
  }

  inNodeOf(pool: number): number {
    return this.#nodes.get(this.#view.index.nodeOf[pool] ?? -1) ?? 0;
  }

  /** How many failure domains hold `count` shards or more. */
  domainsWith(count: number): number {
    let domains = 0;
    for (const held of this.#domains.values()) if (held >= count) domains++;
    return domains;
  }

  /** Whether the pool may take a shard of `bytes` while no domain may hold more than `domainMax`. */
  admits(pool: number, bytes: number, domainMax: number): boolean {
    return (
      !this.#pools.has(pool) &&
      this.inDomainOf(pool) < domainMax &&
      this.inNodeOf(pool) < this.nodeMax &&
      this.#view.index.hasRoom(pool, bytes)
    );
  }

  #count(pool: number, by: 1 | -1): void {
    const domain = this.#view.domainOf[pool] ?? -1;
    if (domain >= 0) this.#domains.set(domain, (this.#domains.get(domain) ?? 0) + by);
    const node = this.#view.index.nodeOf[pool] ?? -1;
    this.#nodes.set(node, (this.#nodes.get(node) ?? 0) + by);
  }
}
