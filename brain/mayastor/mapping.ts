/** From what Mayastor says to what tiering works with. Pure. */
import type { Block, TieredPool, TieredReplica } from "../tiering/model.ts";
import type { MayastorNode, MayastorPool, MayastorVolume } from "./model.ts";

/** The driver of PersistentVolumes that are Mayastor's; their volumeHandle is the volume's uuid. */
export const mayastorDriver = "io.openebs.csi-mayastor";

const nobody: ReadonlySet<string> = new Set();

/**
 * Pools with what is free in them, and why some can't take a replica. `cordonedByUs`: pools and nodes that a migration of ours keeps others
 * off for a minute, which says nothing of what they are good for.
 */
export function tieredPools(
  pools: readonly MayastorPool[],
  nodes: readonly MayastorNode[],
  cordonedByUs: ReadonlySet<string> = nobody,
): TieredPool[] {
  const byId = new Map(nodes.map((node) => [node.id, node]));
  return pools.map((pool) => {
    const nodeName = pool.spec?.node ?? pool.state?.node ?? "";
    const unusable = whyUnusable(pool, byId.get(nodeName), nodeName, cordonedByUs);
    return {
      name: pool.id,
      nodeName,
      labels: pool.spec?.labels ?? {},
      freeBytes: pool.state ? Math.max(0, pool.state.capacity - pool.state.used) : 0,
      ...(unusable === undefined ? {} : { unusable }),
    };
  });
}

function whyUnusable(
  pool: MayastorPool,
  node: MayastorNode | undefined,
  nodeName: string,
  cordonedByUs: ReadonlySet<string>,
): string | undefined {
  if (!pool.spec) return "it has no spec";
  if (pool.spec.status !== "Created") return `it is ${pool.spec.status}`;
  if (!pool.state) return "it can't be reached";
  if (pool.state.status !== "Online") return `it is ${pool.state.status}`;
  // Its form differs between versions; whatever says cordon or drain keeps replicas away.
  if (hasContent(pool.spec.cordon_drain) && !cordonedByUs.has(pool.id)) return "it is cordoned or being drained";
  if (node === undefined) return `its node ${nodeName} is not known`;
  if (node.state?.status !== "Online") return `its node ${nodeName} is ${node.state?.status ?? "Unknown"}`;
  if (hasContent(node.spec?.cordondrainstate) && !cordonedByUs.has(nodeName))
    return `its node ${nodeName} is cordoned or being drained`;
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

/** What must be allowed for some volumes to be moved. */
export interface VolumeAllowances {
  snapshots: boolean;
  offlineRebuild: boolean;
}

/** Why a volume isn't moved as it is; undefined if nothing is known that stands against it. Migrations look at much more before they begin. */
export function volumeBlock({ spec, state }: MayastorVolume, allow: VolumeAllowances): Block | undefined {
  const refuse = (reason: Block["reason"], message: string): Block => ({ action: "refuse", reason, message });
  if (spec.policy?.self_heal === false)
    return refuse("SelfHealOff", "its self_heal is off, so nothing would repair it on the way: switch it on");
  const snapshots = spec.num_snapshots ?? 0;
  if (snapshots > 0 && !allow.snapshots)
    return refuse(
      "Snapshots",
      `it has ${snapshots} snapshot(s), which would stay on the old pools with their space: delete them, or allow that (--migration-allow=snapshots)`,
    );
  if (!spec.target && !allow.offlineRebuild)
    return refuse(
      "NotPublished",
      "no pod uses it, and replicas are filled through its target only: it is moved when one does, or with Mayastor 2.12 and --migration-allow=offline-rebuild",
    );
  const unready = whyNotReady({ spec, state });
  return unready === undefined
    ? undefined
    : { action: "wait", reason: "VolumeNotReady", message: `waits until it is whole: ${unready}` };
}

function whyNotReady({ spec, state }: MayastorVolume): string | undefined {
  if (spec.status !== "Created") return `it is ${spec.status}`;
  const shown = Object.keys(state.replica_topology).length;
  if (shown !== spec.num_replicas) return `it is to have ${spec.num_replicas} replicas and shows ${shown}`;
  if (spec.operation) return `${spec.operation.operation} is in progress`;
  return state.status === "Online" ? undefined : `it is ${state.status}`;
}

/** Labels that the volume's pools must have; an empty value stands for any. They can't be changed later. */
export function requiredPoolLabels(volume: MayastorVolume): Record<string, string> {
  return volume.spec.topology?.pool_topology?.labelled?.inclusion ?? {};
}
