/** From what Mayastor says to what tiering works with. Pure. */
import type { TieredPool, TieredReplica } from "../tiering/model.ts";
import type { MayastorNode, MayastorPool, MayastorVolume } from "./model.ts";

/** The driver of PersistentVolumes that are Mayastor's; their volumeHandle is the volume's uuid. */
export const mayastorDriver = "io.openebs.csi-mayastor";

/** Pools with what is free in them, and why some can't take a replica. */
export function tieredPools(pools: readonly MayastorPool[], nodes: readonly MayastorNode[]): TieredPool[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return pools.map((pool) => {
    const nodeName = pool.spec?.node ?? pool.state?.node ?? "";
    const unusable = whyUnusable(pool, byId.get(nodeName), nodeName);
    return {
      name: pool.id,
      nodeName,
      labels: pool.spec?.labels ?? {},
      freeBytes: pool.state ? Math.max(0, pool.state.capacity - pool.state.used) : 0,
      ...(unusable === undefined ? {} : { unusable }),
    };
  });
}

function whyUnusable(pool: MayastorPool, node: MayastorNode | undefined, nodeName: string): string | undefined {
  if (!pool.spec) return "it has no spec";
  if (pool.spec.status !== "Created") return `it is ${pool.spec.status}`;
  if (!pool.state) return "it can't be reached";
  if (pool.state.status !== "Online") return `it is ${pool.state.status}`;
  // Its form differs between versions; whatever says cordon or drain keeps replicas away.
  if (hasContent(pool.spec.cordon_drain)) return "it is cordoned or being drained";
  if (node === undefined) return `its node ${nodeName} is not known`;
  if (node.state?.status !== "Online") return `its node ${nodeName} is ${node.state?.status ?? "Unknown"}`;
  if (hasContent(node.spec?.cordondrainstate)) return `its node ${nodeName} is cordoned or being drained`;
  return undefined;
}

function hasContent(value: unknown): boolean {
  if (value === undefined || value === null) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}

/** Where a volume's replicas are, in order of their uuids. */
export function tieredReplicas(volume: MayastorVolume): TieredReplica[] {
  return Object.entries(volume.state.replica_topology)
    .map(([uuid, { pool, node }]) => ({ uuid, poolName: pool ?? undefined, nodeName: node ?? undefined }))
    .sort((a, b) => (a.uuid < b.uuid ? -1 : 1));
}

/** Labels that the volume's pools must have; an empty value stands for any. They can't be changed later. */
export function requiredPoolLabels(volume: MayastorVolume): Record<string, string> {
  return volume.spec.topology?.pool_topology?.labelled?.inclusion ?? {};
}
