/** Gives space and a turn to what should move, the most urgent first. Pure. */
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import { MigrationBudget } from "./budget.ts";
import type { DecisionInput } from "./decision-input.ts";
import { finalCountOf, tierFor } from "./erasure-coded.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { Block, PlanEntry, TieredVolume, TieringPolicy } from "./model.ts";
import { RateBudget } from "./rate.ts";
import { placeReplicas, SpaceLedger } from "./room.ts";
import type { TierMap } from "./tiers.ts";

/** A volume that should move, before it is known whether it can. */
export interface Candidate {
  entry: PlanEntry;
  policy: TieringPolicy;
  map: TierMap;
  target: Tier;
  /** 0: a mixed volume to be finished. 1: to a warmer tier. 2: to a colder one. */
  urgency: 0 | 1 | 2;
  iops: number;
}

/** How many of a volume's replicas are on a tier. */
export function onTier(map: TierMap, volume: TieredVolume, tier: Tier): number {
  return (volume.replicas ?? []).filter((replica) => map.ofPool.get(replica.poolName ?? "") === tier).length;
}

/** What is over of space and turns, for what is done and for what is only shown. */
class Resources {
  readonly ledger: SpaceLedger;
  readonly budget: MigrationBudget;
  readonly #input: DecisionInput;
  readonly #rate: RateBudget;
  readonly #rates = new Map<string, RateBudget>();

  constructor(input: DecisionInput, volumes: ReadonlyMap<string, TieredVolume>) {
    this.#input = input;
    this.ledger = new SpaceLedger(input.pools, input.active, volumes);
    this.budget = new MigrationBudget(input.maxConcurrent, input.active);
    this.#rate = new RateBudget(input.bytesPerSecond, input.migrations ?? []);
  }

  /** What stands against one more; it is taken if nothing does. */
  refusal(policy: TieringPolicy, bytes: number): Block | undefined {
    const { maxConcurrent, nowMs } = this.#input;
    if (policy.hold !== undefined) return policy.hold;
    const own = this.#rateOf(policy);
    const freeAtMs = Math.max(own.freeAtMs, this.#rate.freeAtMs);
    if (freeAtMs > nowMs) {
      const whose = own.freeAtMs >= this.#rate.freeAtMs ? "of this policy" : "of all policies";
      const message = `waits until what has begun would be through at the rate ${whose}, at ${new Date(freeAtMs).toISOString()}`;
      return { action: "wait", reason: "BytesPerSecond", message, notBeforeMs: freeAtMs };
    }
    const turn = this.budget.admit(policy.name, policy.maxConcurrent);
    if (turn !== "admitted") {
      const limit = turn === "PolicyConcurrency" ? `${policy.maxConcurrent} of this policy` : `${maxConcurrent} in all`;
      return { action: "wait", reason: turn, message: `waits for its turn: at most ${limit} at once` };
    }
    own.take(bytes, nowMs);
    this.#rate.take(bytes, nowMs);
    return undefined;
  }

  #rateOf({ name, bytesPerSecond }: TieringPolicy): RateBudget {
    const known = this.#rates.get(name);
    if (known !== undefined) return known;
    const own = (this.#input.migrations ?? []).filter(({ policyName }: KnownMigration) => policyName === name);
    const made = new RateBudget(bytesPerSecond, own);
    this.#rates.set(name, made);
    return made;
  }
}

/** Gives space and a turn to candidates, the most urgent first; what is left over waits or is refused. Returns those that may go. */
export function admit(input: DecisionInput, candidates: Candidate[]): PlanEntry[] {
  const volumes = new Map(input.volumes.map((volume) => [volume.uuid, volume]));
  // What is only shown must not keep anything from what is done.
  const real = new Resources(input, volumes);
  const shown = new Resources(input, volumes);
  const admitted: PlanEntry[] = [];
  for (const { entry, policy, map, target } of candidates.sort(byUrgency)) {
    const resources = entry.dryRun ? shown : real;
    const { volume } = entry;
    const tier = tierFor(policy, map, volume, target);
    const count = finalCountOf(policy, volume, target, { tier, pools: input.pools });
    if ("reason" in count) {
      Object.assign(entry, { ...count, message: `${entry.message}; ${count.message}` });
      continue;
    }
    const placement = placeReplicas(volume, { target, tier, count: count.final }, map, resources.ledger);
    if ("reason" in placement) {
      const { reason, message } = placement;
      Object.assign(entry, { action: "refuse", reason, message: `${entry.message}; ${message}` });
      continue;
    }
    // Kept replicas have successors already, as many as are on the target tier.
    const done = policy.preservationMode ? onTier(map, volume, target) : 0;
    entry.moves = placement.moves.slice(0, Math.max(1, placement.moves.length - done));
    entry.targetPools = placement.pools;
    entry.finalReplicaCount = count.final;
    const pools = new Set(entry.moves.map(({ toPool }) => toPool));
    const refusal = resources.refusal(policy, volume.sizeBytes * pools.size);
    if (refusal !== undefined) {
      Object.assign(entry, { ...refusal, message: `${entry.message}; ${refusal.message}` });
      continue;
    }
    for (const pool of pools) resources.ledger.take(pool, volume.sizeBytes);
    admitted.push(entry);
  }
  return admitted;
}

/** Mixed volumes first, then the hottest to warmer tiers, then the coldest to colder ones. */
function byUrgency(a: Candidate, b: Candidate): number {
  const byHeat = a.urgency === 2 ? a.iops - b.iops : b.iops - a.iops;
  const [x, y] = [a.entry.volume, b.entry.volume];
  const byText = x.name < y.name ? -1 : x.name > y.name ? 1 : x.uuid < y.uuid ? -1 : 1;
  return a.urgency - b.urgency || byHeat || byText;
}
