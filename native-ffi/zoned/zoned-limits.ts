/** What the kernel says of a zoned device's queue, in sysfs. A figure that can't be read is unknown, never zero. */
import { readFileSync } from "node:fs";
import { open, stat } from "node:fs/promises";
import { blockDeviceNumber } from "../libaio/device-presence.ts";
import { libc } from "../libc/libc.ts";

export interface ZonedLimits {
  /** `host-managed`, `host-aware` or `none`; undefined if sysfs can't be read. */
  model: string | undefined;
  /** Zones that may be partly written at a time; undefined: no limit, or none known. */
  activeZonesMax: number | undefined;
  /** The longest zone append, memory in single pages; undefined if the device, or this kernel, has none. */
  appendBytesMax: number | undefined;
  /** The longest request that isn't split, memory in single pages. */
  requestBytesMax: number | undefined;
}

const textBytesMax = 256;
const smallestPageBytes = 4096;

/** Reads the limits of a block device; `root` is where sysfs is mounted. */
export function zonedLimits(device: { major: number; minor: number }, root = "/sys"): ZonedLimits {
  const folder = `${root}/dev/block/${device.major}:${device.minor}`;
  const text = (name: string): string | undefined => {
    try {
      const found = readFileSync(`${folder}/${name}`, "utf8");
      return found.length > textBytesMax ? undefined : found.trim();
    } catch {
      return undefined;
    }
  };
  const positive = (name: string, unit: number): number | undefined => {
    const value = text(name);
    return value !== undefined && /^\d{1,15}$/.test(value) && Number(value) > 0 ? Number(value) * unit : undefined;
  };
  // A page may be a segment of its own: the request that is longer is split, or refused if it can't be.
  const segmentsBytes = positive("queue/max_segments", smallestPageBytes);
  const shorter = (bytes: number | undefined): number | undefined =>
    bytes === undefined || segmentsBytes === undefined ? undefined : Math.min(bytes, segmentsBytes);
  return {
    model: text("queue/zoned"),
    activeZonesMax: positive("queue/max_active_zones", 1),
    appendBytesMax: shorter(positive("queue/zone_append_max_bytes", 1)),
    requestBytesMax: shorter(positive("queue/max_sectors_kb", 1024)),
  };
}

const zoneSize = 0x80041284; // BLKGETZONESZ: 0 of a device without zones

/**
 * Whether a block device must be written in zones, from front to back. A host-aware one need not be. Where sysfs can't be read the device is asked;
 * throws what opening it for reading throws.
 */
export async function isZonedDevice(path: string, root = "/sys"): Promise<boolean> {
  const { rdev } = await stat(path);
  const { model } = zonedLimits(blockDeviceNumber(rdev), root);
  if (model !== undefined) return model === "host-managed";
  const file = await open(path, "r");
  try {
    const answer = new Uint32Array(2);
    return libc().ioctl(file.fd, zoneSize, answer) === 0 && answer[0] !== 0;
  } finally {
    await file.close();
  }
}
