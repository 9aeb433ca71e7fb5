/** Which pools stand on devices that are failing, as the agents report them. Pure. */
import type { DeviceHealth, DeviceInfo } from "@couchestor/common/api/devices.ts";
import { type LiveNode, poolsOf } from "../inventory/live-node.ts";

/** A pool whose device is about to fail, while its chunks can still be read. */
export interface FailingPool {
  readonly poolUuid: string;
  readonly poolName: string;
  readonly nodeName: string;
  readonly deviceId: string;
  readonly path: string;
  readonly model: string | undefined;
  readonly firmware: string | undefined;
  readonly reasons: readonly string[];
  /** Since when this brain has known it, on the monotonic clock. */
  readonly sinceMs: number;
}

/** The devices that a node reports; none of a node that has not spoken since the brain started. */
export function devicesOf(node: LiveNode): readonly DeviceInfo[] {
  return node.heartbeat?.devices ?? [];
}

/**
 * The pools of Online nodes on failing devices. `before`: those that were failing at the last look; of them one whose device's health is not known
 * at the moment, as after a restart of its agent, stays: not to know is no reason to trust it again.
 */
export function failingPools(
  nodes: Iterable<LiveNode>,
  before: ReadonlyMap<string, FailingPool>,
  nowMs: number,
): Map<string, FailingPool> {
  const failing = new Map<string, FailingPool>();
  for (const node of nodes) {
    if (node.state !== "Online") continue;
    const devices = devicesOf(node);
    for (const pool of poolsOf(node)) {
      const device = devices.find(({ id, label }) => id === pool.deviceId || label?.poolUuid === pool.poolUuid);
      if (device === undefined || pool.state === "Failed") continue;
      const known = before.get(pool.poolUuid);
      const isFailing = device.health?.state === "Failing";
      if (!isFailing && !(known && isUnknown(device.health))) continue;
      failing.set(pool.poolUuid, {
        poolUuid: pool.poolUuid,
        poolName: pool.poolName,
        nodeName: node.name,
        deviceId: device.id,
        path: device.path,
        model: device.model,
        firmware: device.firmware,
        reasons: isFailing ? (device.health?.reasons ?? []) : (known?.reasons ?? []),
        sinceMs: known?.sinceMs ?? nowMs,
      });
    }
  }
  return failing;
}

function isUnknown(health: DeviceHealth | undefined): boolean {
  return health === undefined || health.state === "Unknown";
}
