/**
 * Where a volume's replicas can go. A thin replica may be filled by its rebuild, so each needs room for the whole volume; no two replicas
 * of a volume share a node, and the new one comes before the old one goes.
 */
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import type { TargetTier } from "./erasure-coded.ts";
import type { ActiveMove, Reason, ReplicaMove, TieredPool, TieredReplica, TieredVolume } from "./model.ts";
import type { TierMap } from "./tiers.ts";

/** Free space of the pools, less what was promised. */
export class SpaceLedger {
  readonly #free: Map<string, number>;

  constructor(pools: readonly TieredPool[], active: readonly ActiveMove[], volumes: ReadonlyMap<string, TieredVolume>) {
    this.#free = new Map(pools.map((pool) => [pool.name, pool.freeBytes]));
    for (const { volumeUuid, toPools } of active) {
      const size = volumes.get(volumeUuid)?.sizeBytes ?? 0;
      // What a migration has copied so far is in the pool's figures already; the whole is held back, to be safe.
      for (const pool of toPools) this.take(pool, size);
    }
  }

  free(pool: string): number {
    return this.#free.get(pool) ?? 0;
  }

  take(pool: string, bytes: number): void {
    this.#free.set(pool, this.free(pool) - bytes);
  }
}

export type Placement = { moves: ReplicaMove[]; pools: string[] } | { reason: Reason; message: string };

export interface Destination {
  target: Tier;
  tier: TargetTier;
  /** How many replicas there are to be in the end. */
  count: number;
}

/**
 * A pool of the tier for every new replica, the emptiest first, with the replica that it takes the place of; or why that can't be. `pools`:
 * all that new ones may be placed on, best first. Takes nothing from the ledger.
 */
export function placeReplicas(
  volume: TieredVolume,
  { target, tier, count }: Destination,
  map: TierMap,
  ledger: SpaceLedger,
): Placement {
  const pools = candidates(volume, target, tier);
  if ("reason" in pools) return pools;
  const replicas = volume.replicas ?? [];
  const occupied = new Set(replicas.map((replica) => replica.nodeName));
  const tierNodes = new Set(pools.map((pool) => pool.nodeName));
  // Those that leave a node on which the next can be placed go first.
  const rank = (replica: TieredReplica): number => (tierNodes.has(replica.nodeName ?? "") ? 0 : 1);
  const leaving = replicas
    .filter((replica) => !stays(replica, target, tier, map))
    .sort((a, b) => rank(a) - rank(b) || (a.uuid < b.uuid ? -1 : 1));
  const staying = replicas.filter((replica) => !leaving.includes(replica));
  const additions = Math.max(0, count - staying.length);
  const moves: ReplicaMove[] = [];
  const [kept] = staying;
  // Enough are there already: the others only leave.
  if (additions === 0 && kept !== undefined) {
    const there = { toPool: kept.poolName ?? "", toNode: kept.nodeName ?? "", freeBytesAfter: 0 };
    return { moves: leaving.map((replica) => ({ ...source(replica), ...there })), pools: [there.toPool] };
  }
  for (let i = 0; i < Math.max(additions, leaving.length); i++) {
    const replica = leaving[Math.min(i, leaving.length - 1)];
    if (replica === undefined) break;
    const placed = moves[additions - 1];
    if (i >= additions && placed !== undefined) {
      moves.push({ ...placed, ...source(replica) });
      continue;
    }
    const spare = pools.filter((pool) => !occupied.has(pool.nodeName));
    if (spare.length === 0) return noSpareNode(target, additions, pools);
    const best = emptiest(spare, ledger);
    const freeBytesAfter = ledger.free(best.name) - volume.sizeBytes;
    if (freeBytesAfter < 0) return noSpace(volume, target, best, ledger);
    occupied.add(best.nodeName);
    // More of them than before: none leaves until all are there.
    if (count <= replicas.length) occupied.delete(replica.nodeName);
    moves.push({ ...source(replica), toPool: best.name, toNode: best.nodeName, freeBytesAfter });
  }
  return { moves, pools: bestFirst(pools, moves, ledger) };
}

function stays({ poolName = "" }: TieredReplica, target: Tier, tier: TargetTier, map: TierMap): boolean {
  if (tier.erasureCoded) return tier.pools.some(({ name }) => name === poolName);
  return map.ofPool.get(poolName) === target;
}

function source({ uuid, poolName = "", nodeName = "" }: TieredReplica) {
  return { replicaUuid: uuid, fromPool: poolName, fromNode: nodeName };
}

function bestFirst(pools: readonly TieredPool[], moves: readonly ReplicaMove[], ledger: SpaceLedger): string[] {
  const chosen = [...new Set(moves.map(({ toPool }) => toPool))];
  const others = pools
    .filter(({ name }) => !chosen.includes(name))
    .sort((a, b) => ledger.free(b.name) - ledger.free(a.name) || (a.name < b.name ? -1 : 1));
  return [...chosen, ...others.map(({ name }) => name)];
}

function candidates(
  volume: TieredVolume,
  target: Tier,
  { pools, why = `there is no ${target} pool` }: TargetTier,
): readonly TieredPool[] | { reason: Reason; message: string } {
  if (pools.length === 0) return { reason: "NoPools", message: why };
  const usable = pools.filter((pool) => pool.unusable === undefined);
  if (usable.length === 0) {
    const reasons = pools.slice(0, 3).map((pool) => `${pool.name}: ${pool.unusable}`);
    return { reason: "NoUsablePool", message: `no ${target} pool can take a replica (${reasons.join("; ")})` };
  }
  const fitting = usable.filter((pool) => fits(volume.requiredPoolLabels, pool.labels));
  if (fitting.length > 0) return fitting;
  const required = Object.entries(volume.requiredPoolLabels).map(([key, value]) => (value ? `${key}=${value}` : key));
  return {
    reason: "PinnedByTopology",
    message: `the volume may only be on pools with the labels ${required.join(", ")}, which no ${target} pool has; that can't be changed for a volume`,
  };
}

function fits(required: Readonly<Record<string, string>>, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(required).every(
    ([key, value]) => Object.hasOwn(labels, key) && (value === "" || labels[key] === value),
  );
}

function emptiest(pools: readonly TieredPool[], ledger: SpaceLedger): TieredPool {
  return pools.reduce((best, pool) => {
    const more = ledger.free(pool.name) - ledger.free(best.name);
    return more > 0 || (more === 0 && pool.name < best.name) ? pool : best;
  });
}

function noSpareNode(target: Tier, replicas: number, pools: readonly TieredPool[]): Placement {
  const nodes = new Set(pools.map((pool) => pool.nodeName)).size;
  return {
    reason: "NoSpareNode",
    message: `${replicas} replica(s) need a ${target} pool on a node without a replica of this volume; the ${target} pools are on ${nodes} node(s), and those left have one`,
  };
}

function noSpace(volume: TieredVolume, target: Tier, best: TieredPool, ledger: SpaceLedger): Placement {
  const free = approximateBytes(Math.max(0, ledger.free(best.name)));
  return {
    reason: "NotEnoughSpace",
    message: `the volume has ${approximateBytes(volume.sizeBytes)}; ${best.name}, the emptiest ${target} pool that could take it, has ${free} free after what is promised`,
  };
}
