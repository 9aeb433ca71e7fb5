/** From placement to the shard locations of an act, and the topology that placement sees. */
import type { ActId } from "@couchestor/common/api/acts.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { blockBytes, type Code, shardBytes, shardCount } from "@couchestor/common/code/code.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Reservations } from "../acts/reservations.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { placeShards } from "../placement/placement.ts";
import type { PlacedShard } from "../placement/placer.ts";
import type { TopologyPool, TopologySnapshot } from "../placement/topology.ts";
import type { Services } from "./services.ts";

/**
 * What placement knows of the pools now, what acts are putting there counted as used. Only pools that carry our cluster's identity can be written: a fresh
 * one gets it within two heartbeats, and any may be while there is no cluster yet.
 */
export function topologyOf(
  inventory: Inventory,
  reservations: Reservations,
  clusterUuid: string | undefined,
): TopologySnapshot {
  const pools: TopologyPool[] = [];
  const reserved = reservations.bytes((pool) => inventory.host(pool)?.node.lastHeardMs ?? 0);
  for (const node of inventory.nodes()) {
    for (const pool of node.heartbeat?.pools ?? node.stored?.pools ?? []) {
      if (inventory.host(pool.poolUuid)?.node !== node) continue;
      const online = node.state === "Online" && node.heartbeat !== undefined && pool.state !== "Failed";
      pools.push({
        poolUuid: pool.poolUuid,
        poolName: pool.poolName,
        nodeName: node.name,
        labels: { ...(node.heartbeat?.labels ?? {}), ...pool.labels },
        capacityBytes: pool.capacityBytes,
        usedBytes: pool.usedBytes + (reserved.get(pool.poolUuid) ?? 0),
        online,
        writable: online && pool.state === "Online" && (clusterUuid === undefined || pool.clusterUuid === clusterUuid),
      });
    }
  }
  return { pools };
}

/** A seed that stays with the run's `attempt`, so that its placement can be told in advance and spreads over the pools. */
export function placementSeed(volumeUuid: string, firstStripe: number, attempt: number): number {
  let hash = 0x811c9dc5;
  for (const char of `${volumeUuid}/${firstStripe}/${attempt}`)
    hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
  return hash;
}

export type Placed = PlacedShard;

/**
 * Pools for these shards of a run (default: all that `keep` does not hold). Throws `FailedPrecondition` saying how many pools or domains are missing.
 * `keep`: shards that stay where they are and count against the limits.
 */
export function placeRun(
  topology: TopologySnapshot,
  volume: EcVolume,
  run: { firstStripe: number; stripeCount: number; code: Code },
  keep: readonly ShardLocation[],
  shardIndexes?: readonly number[],
  attempt = 0,
): Placed[] {
  const { spec } = volume;
  const kept = new Set(keep.map((l) => l.shardIndex));
  const all = Array.from({ length: shardCount(run.code) }, (_, i) => i);
  return placeShards({
    code: run.code,
    rule: spec.placement,
    topology,
    keep,
    shardIndexes: shardIndexes ?? all.filter((i) => !kept.has(i)),
    bytesPerShard: chunkBytesOf(run.code, spec.stripeSizeBytes) * run.stripeCount,
    seed: placementSeed(spec.volumeUuid, run.firstStripe, attempt),
  });
}

/** What a chunk takes on the medium: its shard, and a header of whole blocks with four bytes of checksum a block. */
export function chunkBytesOf(code: Code, stripeSizeBytes: number): number {
  const dataBytes = shardBytes(code, stripeSizeBytes);
  const tableBytes = (dataBytes / blockBytes) * 4;
  return dataBytes + blockBytes * (1 + Math.ceil(tableBytes / blockBytes));
}

/**
 * As `placeRun` on the pools as they are now, but away from pools on failing devices and from where the last acts of the run failed, as far as there is
 * room elsewhere. `never`: pools that take nothing even if there is none.
 */
export function placeAgain(
  services: Services,
  volume: EcVolume,
  run: { name: string; firstStripe: number; stripeCount: number; code: Code },
  keep: readonly ShardLocation[],
  shardIndexes?: readonly number[],
  { never = new Set() }: { never?: ReadonlySet<string> } = {},
): Placed[] {
  const { inventory, acts, cluster } = services;
  const all = topologyOf(inventory, acts.reservations, cluster.uuid);
  const topology = without(all, ({ poolUuid }) => never.has(poolUuid));
  const attempt = acts.failures.attempts(run.name);
  const { pools, nodes } = acts.failures.avoided(run.name);
  const { leaving } = inventory;
  const hasFailed = (p: TopologyPool): boolean => pools.has(p.poolUuid) || nodes.has(p.nodeName);
  const isLeaving = (p: TopologyPool): boolean => leaving.has(p.poolUuid);
  const avoided = [(p: TopologyPool) => hasFailed(p) || isLeaving(p), isLeaving, hasFailed];
  const choices = leaving.size + pools.size + nodes.size > 0 ? avoided.map((bad) => without(topology, bad)) : [];
  for (const choice of choices) {
    try {
      return placeRun(choice, volume, run, keep, shardIndexes, attempt);
    } catch (error) {
      if (!isAppError(error, "FailedPrecondition")) throw error;
    }
  }
  return placeRun(topology, volume, run, keep, shardIndexes, attempt);
}

/** The pools, but these take nothing. */
function without({ pools }: TopologySnapshot, bad: (pool: TopologyPool) => boolean): TopologySnapshot {
  return { pools: pools.map((pool) => (pool.writable && bad(pool) ? { ...pool, writable: false } : pool)) };
}

/** Placed shards as an act puts them. */
export function locationsOf(placed: readonly Placed[], act: ActId): ShardLocation[] {
  return placed.map(({ shardIndex, poolUuid, nodeName, poolName }) => ({
    shardIndex,
    poolUuid,
    nodeName,
    poolName,
    putEpoch: act.epoch,
    putAct: act.actNo,
  }));
}
