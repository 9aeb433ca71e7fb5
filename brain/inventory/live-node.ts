/** One node as this brain process sees it, and the rule for two agents that use one name. Pure. */
import type { Heartbeat, PoolInfo } from "@couchestor/common/api/nodes.ts";
import type { StorageNodeStatus } from "@couchestor/common/crd/storage-node.ts";

export interface LiveNode {
  name: string;
  /** `Unheard`: known from the store, not heard since this brain started. */
  state: "Unheard" | "Online" | "Offline";
  heartbeat: Heartbeat | undefined;
  stored: StorageNodeStatus | undefined;
  /** Monotonic; the brain's start for a node not heard yet. */
  lastHeardMs: number;
  /** Monotonic; when it was first taken for Offline. */
  offlineSinceMs: number | undefined;
  /** Wall clock, for people. */
  sinceIso: string;
  previousInstance: string | undefined;
  /** Another live process that uses this node's name; refused while the node is Online. */
  rivalInstance: string | undefined;
  /** Pools of an Online node that it no longer reports, with the monotonic time since when. */
  vanished: Map<string, { pool: PoolInfo; sinceMs: number }>;
}

export type InstanceVerdict = "same" | "first" | "replaced" | "reinstated" | "rival";

/**
 * What a heartbeat of `instanceUuid` means for `node`. A restarted agent is a new instance and the old one never speaks again; when the old one
 * does speak again both are alive, so the earlier keeps the name and the later is refused until the earlier is Offline.
 */
export function judgeInstance(node: LiveNode, instanceUuid: string): InstanceVerdict {
  const current = node.heartbeat?.instanceUuid;
  if (current === undefined) return "first";
  if (current === instanceUuid) return "same";
  if (node.state === "Online") {
    if (instanceUuid === node.rivalInstance) return "rival";
    if (instanceUuid === node.previousInstance) return "reinstated";
  }
  return "replaced";
}

/** The pools of a node as last reported. */
export function poolsOf(node: LiveNode): readonly PoolInfo[] {
  return node.heartbeat?.pools ?? node.stored?.pools ?? [];
}

/** Whether what a person or a planner would care about differs: names, states, labels, addresses; not fill levels. */
export function differsInSubstance(a: Heartbeat | undefined, b: Heartbeat): boolean {
  return a === undefined || substance(a) !== substance(b);
}

function substance(h: Heartbeat): string {
  return JSON.stringify([
    h.instanceUuid,
    h.version,
    h.clusterUrl,
    h.adminUrl,
    h.codec,
    Object.entries(h.labels).sort(),
    h.devices?.map(({ id, path, label, health }) => [id, path, label?.poolUuid, health?.state]),
    h.pools.map((p) => [
      p.poolUuid,
      p.poolName,
      p.state,
      p.kind,
      p.clusterUuid,
      p.deviceId,
      Object.entries(p.labels).sort(),
    ]),
  ]);
}
