/** From placement to the shard locations of an act, and the topology that placement sees. */
import type { ActId } from "@couchestor/common/api/acts.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { type Code, shardBytes, shardCount } from "@couchestor/common/code/code.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import type { Inventory } from "../inventory/inventory.ts";
import { placeShards } from "../placement/placement.ts";
import type { PlacedShard } from "../placement/placer.ts";
import type { TopologyPool, TopologySnapshot } from "../placement/topology.ts";

/** What placement knows of the pools now. Only pools that carry our cluster's identity or none can be written. */
export function topologyOf(inventory: Inventory, clusterUuid: string | undefined): TopologySnapshot {
  const pools: TopologyPool[] = [];
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
        usedBytes: pool.usedBytes,
        online,
        writable: online && pool.state === "Online" && (clusterUuid === undefined || pool.clusterUuid === clusterUuid),
      });
    }
  }
  return { pools };
}

/** A seed that stays with the run, so that its placement can be told in advance and spreads over the pools. */
export function placementSeed(volumeUuid: string, firstStripe: number): number {
  let hash = 0x811c9dc5;
  for (const char of `${volumeUuid}/${firstStripe}`) hash = Math.imul(hash ^ char.charCodeAt(0), 0x01000193) >>> 0;
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
    bytesPerShard: shardBytes(run.code, spec.stripeSizeBytes) * run.stripeCount,
    seed: placementSeed(spec.volumeUuid, run.firstStripe),
  });
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
