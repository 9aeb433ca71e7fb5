/** What one placement rule sees of a topology: which pools it may use, why not the others, and which failure domain each pool is in. */
import type { PlacementRule } from "@couchestor/common/crd/ec-volume.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { numberOf, type TopologyIndex, type TopologyPool } from "./topology.ts";

export type Exclusion = "offline" | "readOnly" | "labelMismatch" | "noDomainLabel";

export class RuleView {
  readonly rule: PlacementRule;
  readonly index: TopologyIndex;
  /** Pool → failure domain number; −1 without the label. */
  readonly domainOf: Int32Array;
  /** Domain number → its name. */
  readonly domainNames: readonly string[];
  /** Numbers of the pools that the rule may use, full ones among them. */
  readonly eligible: readonly number[];
  readonly excluded: ReadonlyMap<number, Exclusion>;
  /** Whether domains cut through nodes and nodes through domains: then greedy placement is not exact. */
  readonly crossing: boolean;
  readonly #sampler: AliasSampler;

  constructor(index: TopologyIndex, rule: PlacementRule) {
    this.rule = rule;
    this.index = index;
    const domains = new Map<string, number>();
    this.domainOf = Int32Array.from(index.pools, (pool) => {
      const name = domainName(pool, rule);
      return name === undefined ? -1 : numberOf(domains, name);
    });
    this.domainNames = [...domains.keys()];
    const eligible: number[] = [];
    const excluded = new Map<number, Exclusion>();
    for (const [number, pool] of index.pools.entries()) {
      const why = exclusionOf(pool, rule);
      if (why) excluded.set(number, why);
      else eligible.push(number);
    }
    this.eligible = eligible;
    this.excluded = excluded;
    this.crossing = isCrossing(eligible, this.domainOf, index.nodeOf);
    this.#sampler = new AliasSampler(eligible.map((pool) => index.capacityBytes[pool] ?? 0));
  }

  /** An eligible pool, by chance in proportion to capacity. There must be one. */
  sample(prng: Prng): number {
    return this.eligible[this.#sampler.draw(prng)] ?? -1;
  }
}

/** The failure domain that the rule puts the pool in, undefined if it lacks the label. */
export function domainName(pool: TopologyPool, rule: PlacementRule): string | undefined {
  return rule.failureDomain === "node" ? pool.nodeName : pool.labels[rule.failureDomain];
}

function exclusionOf(pool: TopologyPool, rule: PlacementRule): Exclusion | undefined {
  if (Object.entries(rule.poolSelector).some(([key, value]) => pool.labels[key] !== value)) return "labelMismatch";
  if (domainName(pool, rule) === undefined) return "noDomainLabel";
  if (!pool.online) return "offline";
  return pool.writable ? undefined : "readOnly";
}

function isCrossing(eligible: readonly number[], domainOf: Int32Array, nodeOf: Int32Array): boolean {
  const firstNode = new Map<number, number>();
  const firstDomain = new Map<number, number>();
  let nodeOfMany = false;
  let domainOfMany = false;
  for (const pool of eligible) {
    const [node = -1, domain = -1] = [nodeOf[pool], domainOf[pool]];
    if ((firstDomain.get(node) ?? domain) !== domain) nodeOfMany = true;
    if ((firstNode.get(domain) ?? node) !== node) domainOfMany = true;
    firstDomain.set(node, domain);
    firstNode.set(domain, node);
  }
  return nodeOfMany && domainOfMany;
}

/** Draws an index in proportion to its weight in constant time (Walker's alias method as Vose builds it). */
class AliasSampler {
  readonly #probability: Float64Array;
  readonly #alias: Int32Array;

  constructor(weights: readonly number[]) {
    const count = weights.length;
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    const scaled = Float64Array.from(weights, (weight) => (total > 0 ? (weight * count) / total : 1));
    this.#probability = new Float64Array(count).fill(1);
    this.#alias = Int32Array.from({ length: count }, (_, i) => i);
    const small: number[] = [];
    const large: number[] = [];
    for (let i = 0; i < count; i++) ((scaled[i] as number) < 1 ? small : large).push(i);
    while (small.length > 0 && large.length > 0) {
      const less = small.pop() as number;
      const more = large.pop() as number;
      this.#probability[less] = scaled[less] as number;
      this.#alias[less] = more;
      scaled[more] = (scaled[more] as number) + (scaled[less] as number) - 1;
      ((scaled[more] as number) < 1 ? small : large).push(more);
    }
  }

  draw(prng: Prng): number {
    const slot = prng.below(this.#probability.length);
    return prng.float() < (this.#probability[slot] ?? 1) ? slot : (this.#alias[slot] ?? slot);
  }
}
