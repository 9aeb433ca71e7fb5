/** Whether a block device that is open is still there. The descriptor outlives the disk, and what it answers then depends on the driver. */
import { existsSync } from "node:fs";
import { blockDeviceGeometry } from "../libc/libc.ts";

export interface DeviceNumber {
  major: number;
  minor: number;
}

/** The parts of a device's number, as <sys/sysmacros.h> takes them apart. */
export function blockDeviceNumber(rdev: number): DeviceNumber {
  const high = Math.floor(rdev / 2 ** 32);
  const low = rdev % 2 ** 32;
  return {
    major: ((low >>> 8) & 0xfff) | (high & 0xfffff000),
    minor: (low & 0xff) | ((low >>> 12) & 0xffffff00),
  };
}

/** An NVMe disk has no size any more; of a SCSI or ATA disk the entry in sysfs is gone. Without sysfs only the size can tell. */
export function isRemoved(fd: number, { major, minor }: DeviceNumber, path: string, root = "/sys"): boolean {
  if (blockDeviceGeometry(fd, path).sizeBytes === 0) return true;
  const folder = `${root}/dev/block`;
  return existsSync(folder) && !existsSync(`${folder}/${major}:${minor}`);
}
