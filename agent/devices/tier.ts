/** Which tier a device would serve well, with the reason. Pure. A suggestion: the pool's `tier` label is what placement goes by. */
import type { DeviceInfo } from "@couchestor/common/api/devices.ts";

type Tier = Pick<DeviceInfo, "tier" | "tierReason">;

/** The suggestion for a device. */
export function tierOf(
  device: Pick<DeviceInfo, "transport" | "rotational" | "zoned"> & {
    isNvme: boolean;
    rotationRpm?: number | undefined;
  },
): Tier {
  const { transport, rotational, zoned, isNvme, rotationRpm } = device;
  const say = (tier: Tier["tier"], tierReason: string): Tier => ({ tier, tierReason });
  if (transport === "usb") return say("cold", "USB: slow, and unplugged by accident");
  if (transport === "mmc") return say("cold", "a memory card: slow, and worn out soon");
  if (rotational === true && (transport === "virtio" || transport === "virtual")) {
    return say("cold", "a virtual disk that calls itself rotating; what is beneath it is not known");
  }
  if (rotational === true) {
    const speed = rotationRpm === undefined || rotationRpm === 0 ? "a rotating disk" : `a disk of ${rotationRpm} rpm`;
    return say("cold", zoned === "none" ? speed : `${speed} with zones`);
  }
  if (zoned === "host-managed") {
    return say("warm", "zoned flash: written in sequence only, which suits chunks and not volumes with random writes");
  }
  if (transport === "pmem") return say("hot", "persistent memory");
  if (isNvme && transport === "pcie") return say("hot", "NVMe on PCIe");
  if (isNvme) return say("warm", `NVMe over ${transport}: every access crosses the network`);
  if (transport === "sas" || transport === "sata") return say("warm", `flash on ${transport.toUpperCase()}`);
  if (transport === "raid") return say("warm", "a volume of a RAID adapter; what is beneath it is not known");
  if (transport === "virtio" || transport === "virtual") {
    return say("warm", "a virtual disk; what is beneath it is not known");
  }
  if (rotational === undefined) return say("cold", "it does not say whether it rotates");
  return say("warm", "flash");
}
