/** The parts of an act's task that come from the volume and the inventory. */
import type { NodeAddress, VolumeDescriptor } from "@couchestor/common/api/maps.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import type { Inventory } from "../inventory/inventory.ts";

export function descriptorOf(volume: EcVolume, clusterUuid: string): VolumeDescriptor {
  return {
    name: volume.metadata.name,
    volumeUuid: volume.spec.volumeUuid,
    journalId: must(volume.status, "the volume's status").ownership.journal.journalId,
    clusterUuid,
    sizeBytes: volume.spec.sizeBytes,
    stripeSizeBytes: volume.spec.stripeSizeBytes,
    stripesPerRun: volume.spec.stripesPerRun,
  };
}

/** Where the nodes that hold any of these pools are reached; one address a node. */
export function addressesOf(inventory: Inventory, poolUuids: Iterable<string>): NodeAddress[] {
  const addresses = new Map<string, NodeAddress>();
  for (const poolUuid of poolUuids) {
    const host = inventory.host(poolUuid);
    const url = host?.node.heartbeat?.clusterUrl ?? host?.node.stored?.clusterUrl;
    if (!host || !url || addresses.has(host.node.name)) continue;
    addresses.set(host.node.name, { nodeName: host.node.name, url, online: host.node.state === "Online" });
  }
  return [...addresses.values()];
}

/** Locations with the node and name under which each pool is reached now: a disk may have moved to another node. */
export function currentNames<L extends { poolUuid: string; nodeName: string; poolName: string }>(
  inventory: Inventory,
  locations: readonly L[],
): L[] {
  return locations.map((l) => {
    const host = inventory.host(l.poolUuid);
    return host ? { ...l, nodeName: host.node.name, poolName: host.pool.poolName } : l;
  });
}
