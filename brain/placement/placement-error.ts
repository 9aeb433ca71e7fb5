/** Why shards can't be placed, in words and as data. */
import { formatCode } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { PlaceRequest } from "./place-request.ts";
import type { Exclusion, RuleView } from "./rule-view.ts";
import { shardsPerDomainMax } from "./stripe-load.ts";

export type ShortageReason = Exclusion | "full" | "used";

/** `data` of the error. Pools and domains count the ones that hold kept shards too. */
export interface PlacementShortage extends Record<string, unknown> {
  failureDomain: string;
  shardsToPlace: number;
  shardsPlaceable: number;
  shardsPerDomainMax: number;
  poolsUsable: number;
  poolsNeeded: number;
  poolsMissing: number;
  domainsUsable: number;
  /** The fewest that can do, each with `shardsPerDomainMax` shards. */
  domainsNeeded: number;
  domainsMissing: number;
  /** To have each shard in a domain of its own. */
  domainsForOneShardEach: number;
  excluded: Partial<Record<ShortageReason, { count: number; pools: string[] }>>;
}

const namesMax = 8;
const words: Record<ShortageReason, string> = {
  offline: "offline",
  readOnly: "not writable",
  labelMismatch: "without the labels asked for",
  noDomainLabel: "without the failure domain's label",
  full: "full",
  used: "holding a shard of the stripe already",
};

export function placementError(view: RuleView, request: PlaceRequest, placeable: number): AppError {
  const data = shortageOf(view, request, placeable);
  const asked = Object.entries(request.rule.poolSelector).map(([key, value]) => `${key}=${value}`);
  const excluded = Object.entries(data.excluded).map(([reason, { count, pools }]) => {
    const more = count > pools.length ? ", …" : "";
    return `${count} ${words[reason as ShortageReason]} (${pools.join(", ")}${more})`;
  });
  const message = [
    `${formatCode(request.code)}: ${data.shardsPlaceable} of ${data.shardsToPlace} shards can be placed`,
    `needed are ${data.poolsNeeded} pools in ${data.domainsNeeded} or more failure domains ("${data.failureDomain}", at most ${data.shardsPerDomainMax} shards each)` +
      (asked.length > 0 ? ` with ${asked.join(", ")}` : ""),
    `there are ${data.poolsUsable} in ${data.domainsUsable}`,
    missingWords(data),
    excluded.length > 0 ? `not usable: ${excluded.join("; ")}` : "no pool is excluded for another reason",
  ].join("; ");
  return new AppError("FailedPrecondition", message, { data });
}

function missingWords(data: PlacementShortage): string {
  const parts: string[] = [];
  if (data.poolsMissing > 0) parts.push(`${data.poolsMissing} pool${data.poolsMissing === 1 ? "" : "s"}`);
  if (data.domainsMissing > 0) {
    parts.push(`${data.domainsMissing} failure domain${data.domainsMissing === 1 ? "" : "s"}`);
  }
  if (parts.length > 0) return `missing: ${parts.join(" and ")}`;
  const unplaced = data.shardsToPlace - data.shardsPlaceable;
  return `missing: pools in other failure domains or on other nodes for ${unplaced} shard${unplaced === 1 ? "" : "s"}`;
}

function shortageOf(view: RuleView, request: PlaceRequest, placeable: number): PlacementShortage {
  const { index } = view;
  const keptPools = new Set(request.keep.map(({ poolUuid }) => index.indexOf(poolUuid)));
  const excluded: PlacementShortage["excluded"] = {};
  const exclude = (pool: number, reason: ShortageReason) => {
    const { poolName, nodeName } = index.pool(pool);
    const entry = excluded[reason] ?? { count: 0, pools: [] };
    excluded[reason] = entry;
    entry.count++;
    if (entry.pools.length < namesMax) entry.pools.push(`${nodeName}/${poolName}`);
  };
  const domains = new Set<number>();
  let usable = 0;
  for (const pool of index.pools.keys()) {
    const why = view.excluded.get(pool);
    if (keptPools.has(pool)) exclude(pool, "used");
    else if (why) exclude(pool, why);
    else if (!index.hasRoom(pool, request.bytesPerShard)) exclude(pool, "full");
    else usable++;
    if (keptPools.has(pool) || (!why && index.hasRoom(pool, request.bytesPerShard)))
      domains.add(view.domainOf[pool] ?? -1);
  }
  const shards = request.keep.length + request.shardIndexes.length;
  const perDomain = shardsPerDomainMax(request.code);
  const domainsNeeded = Math.ceil(shards / perDomain);
  return {
    failureDomain: request.rule.failureDomain,
    shardsToPlace: request.shardIndexes.length,
    shardsPlaceable: placeable,
    shardsPerDomainMax: perDomain,
    poolsUsable: usable + request.keep.length,
    poolsNeeded: shards,
    poolsMissing: Math.max(0, request.shardIndexes.length - usable),
    domainsUsable: domains.size,
    domainsNeeded,
    domainsMissing: Math.max(0, domainsNeeded - domains.size),
    domainsForOneShardEach: shards,
    excluded,
  };
}
