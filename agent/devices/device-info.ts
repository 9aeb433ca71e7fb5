/** What others learn of a device. Pure. */
import type { DeviceHealth, DeviceInfo } from "@couchestor/common/api/devices.ts";
import { devicesMax } from "@couchestor/common/api/devices.ts";
import type { Device } from "./model.ts";

/** The device without what only this machine can use. */
export function infoOf(device: Device, health: DeviceHealth | undefined): DeviceInfo {
  const { id, idStable, path, model, serial, firmware, wwn, transport, rotational, zoned, capacityBytes } = device;
  const { logicalBlockBytes, physicalBlockBytes, numaNode, tier, tierReason, inUse, label } = device;
  const whole = {
    id,
    idStable,
    path,
    transport,
    zoned,
    capacityBytes,
    logicalBlockBytes,
    physicalBlockBytes,
    tier,
    tierReason,
    inUse,
  };
  return {
    ...whole,
    ...defined({ model, serial, firmware, wwn, rotational, numaNode, label, health }),
  };
}

/** Those of the heartbeat: what carries our pools first, if there are more than it takes. */
export function reportedDevices(watched: readonly { device: Device; health: DeviceHealth }[]): DeviceInfo[] {
  return watched
    .map(({ device, health }) => infoOf(device, health))
    .sort((a, b) => Number(b.label !== undefined) - Number(a.label !== undefined))
    .slice(0, devicesMax);
}

function defined<T extends object>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as never;
}
