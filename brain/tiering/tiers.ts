/** Which tier a pool belongs to, and where a volume is. */
import { formatSelector, selects } from "@couchestor/common/crd/label-selector.ts";
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import type { TieredPool, TieredVolume, TieringPolicy, VolumeTier } from "./model.ts";

export const tiers = ["hot", "warm", "cold"] as const satisfies readonly Tier[];
/** 2 for hot … 0 for cold. */
export const warmth: Readonly<Record<Tier, number>> = { hot: 2, warm: 1, cold: 0 };

export interface TierMap {
  /** Tier of a pool by its name; `conflict` if two selectors select it: then it is used for neither. */
  ofPool: ReadonlyMap<string, Tier | "conflict">;
  pools: Readonly<Record<Tier, readonly TieredPool[]>>;
  inTwoTiers: string[];
  empty: { tier: Tier; selector: string }[];
}

/** Sorts the pools into a policy's tiers. A tier without a selector has no pools; with two tiers, warm has none. */
export function tierMap(policy: TieringPolicy, pools: readonly TieredPool[]): TierMap {
  const used = tiers.filter((tier) => tier !== "warm" || policy.watermarks.warm > 0);
  const ofPool = new Map<string, Tier | "conflict">();
  const byTier: Record<Tier, TieredPool[]> = { hot: [], warm: [], cold: [] };
  const selected: Record<Tier, number> = { hot: 0, warm: 0, cold: 0 };
  for (const pool of pools) {
    const found = used.filter((tier) => {
      const selector = policy.poolSelectors[tier];
      return selector !== undefined && selects(selector, pool.labels);
    });
    for (const tier of found) selected[tier] += 1;
    const [tier, second] = found;
    if (tier === undefined) continue;
    ofPool.set(pool.name, second === undefined ? tier : "conflict");
    if (second === undefined) byTier[tier].push(pool);
  }
  const inTwoTiers = [...ofPool].filter(([, tier]) => tier === "conflict").map(([name]) => name);
  const empty = used.flatMap((tier) => {
    const selector = policy.poolSelectors[tier];
    return selector === undefined || selected[tier] > 0 ? [] : [{ tier, selector: formatSelector(selector) }];
  });
  return { ofPool, pools: byTier, inTwoTiers: inTwoTiers.sort(), empty };
}

export interface Standing {
  tier: VolumeTier;
  /** The tier it counts as being on: for a mixed volume where most of its replicas are, the warmer of two. */
  base: Tier | undefined;
  /** With `unknown`: why. */
  why?: string;
}

/** Where a volume's replicas are. */
export function standingOf(volume: TieredVolume, map: TierMap): Standing {
  if (volume.replicas === undefined) {
    return unknownTier(`the storage control plane has no volume ${volume.uuid}`);
  }
  if (volume.replicas.length === 0) return unknownTier("the storage control plane names no replica of it");
  const counts = new Map<Tier | "none", number>();
  for (const { uuid, poolName } of volume.replicas) {
    if (poolName === undefined) return unknownTier(`the pool of replica ${uuid} is not known`);
    const tier = map.ofPool.get(poolName) ?? "none";
    if (tier === "conflict") return unknownTier(`pool ${poolName} is selected for two tiers`);
    counts.set(tier, (counts.get(tier) ?? 0) + 1);
  }
  const base = tiers.reduce<Tier | undefined>(
    (best, tier) => ((counts.get(tier) ?? 0) > (best === undefined ? 0 : (counts.get(best) ?? 0)) ? tier : best),
    undefined,
  );
  return { tier: counts.size > 1 ? "mixed" : (base ?? "none"), base };
}

function unknownTier(why: string): Standing {
  return { tier: "unknown", base: undefined, why };
}
