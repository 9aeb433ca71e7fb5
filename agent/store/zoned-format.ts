/** How a pool is laid out on a zoned device, and how one is made there. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { segmentBytesMax } from "./chunk-index.ts";
import { hasSuperblockMagic, type Superblock, superblockBytes } from "./superblock.ts";
import type { Zone, ZonedDevice } from "./zoned-device.ts";

const superblockZoneCount = 2;
/** The zones of the superblock, and the one that is written. */
const activeZonesMin = superblockZoneCount + 1;
const segmentsMin = 4;
const segmentBytesMin = 64 * 1024;
const probedBytes = 2 ** 20;

/** The first zone that holds segments. */
export function firstDataZone(zones: readonly Zone[]): number {
  const first = zones.findIndex(({ state }) => state !== "conventional");
  return first < 0 ? zones.length : first + superblockZoneCount;
}

/** The two zones of the superblock. Throws `InvalidArgument` if the device is too small to have them. */
export function superblockZones(
  path: string,
  device: ZonedDevice,
  zones: readonly Zone[],
): { zone: number; report: Zone }[] {
  const data = firstDataZone(zones);
  if (zones.length - data < segmentsMin) {
    const needed = superblockZoneCount + segmentsMin;
    const got = Math.max(0, zones.length - data + superblockZoneCount);
    throw new AppError(
      "InvalidArgument",
      `pool ${path}: got a device with ${got} zones that are written from front to back, at least ${needed} are needed`,
    );
  }
  const { activeZonesMax } = device;
  if (activeZonesMax !== undefined && activeZonesMax < activeZonesMin)
    throw new AppError(
      "InvalidArgument",
      `pool ${path}: the device lets ${activeZonesMax} zones be active, at least ${activeZonesMin} are needed`,
    );
  return [data - 2, data - 1].map((zone) => ({ zone, report: zones[zone] as Zone }));
}

/** Throws `Unavailable` if the pool was not made on zones like these. */
export function checkGeometry(path: string, device: ZonedDevice, zones: readonly Zone[], superblock: Superblock): void {
  const { kind, slotsOffsetBytes, slotCount, segmentBytes } = superblock;
  const data = firstDataZone(zones);
  const fits =
    kind === "zoned" &&
    slotsOffsetBytes === data * device.zoneBytes &&
    slotCount <= zones.length - data &&
    segmentBytes <= device.zoneBytes;
  if (fits) return;
  throw new AppError(
    "Unavailable",
    `pool ${path}: it was made as kind ${kind} with ${slotCount} segments of ${segmentBytes} bytes from ${slotsOffsetBytes} on; this device has ${zones.length - data} zones of ${device.zoneBytes} bytes from ${data * device.zoneBytes} on: is it another device, or formatted differently?`,
  );
}

export interface FormatOptions {
  device: ZonedDevice;
  path: string;
  format?: boolean | undefined;
  fresh: () => Superblock;
}

/** The superblock of a pool made anew; all zones are empty on return. Throws `FailedPrecondition` if something is there and `format` is not set. */
export async function freshZonedSuperblock(options: FormatOptions, zones: readonly Zone[]): Promise<Superblock> {
  const { device, path, format, fresh } = options;
  const data = firstDataZone(zones);
  const capacities = zones.slice(data).filter(({ state }) => state !== "offline" && state !== "read-only");
  const homes = zones.slice(data - superblockZoneCount, data);
  if (capacities.length < segmentsMin || homes.some(({ state }) => state === "offline" || state === "read-only"))
    throw new AppError(
      "FailedPrecondition",
      `pool ${path}: too many zones of the device are offline or read-only; replace it`,
    );
  const segmentBytes = Math.min(segmentBytesMax, ...capacities.map(({ capacityBytes }) => capacityBytes));
  if (segmentBytes < segmentBytesMin || segmentBytes % 4096 !== 0)
    throw new AppError(
      "InvalidArgument",
      `pool ${path}: the zones of the device take ${segmentBytes} bytes; at least ${segmentBytesMin} are needed, a multiple of 4096`,
    );
  if (!format) await refuseContent(options, zones);
  else await emptyZones(device, zones);
  return {
    ...fresh(),
    kind: "zoned",
    segmentBytes,
    slotsOffsetBytes: data * device.zoneBytes,
    slotCount: zones.length - data,
  };
}

async function refuseContent({ device, path }: FormatOptions, zones: readonly Zone[]): Promise<void> {
  const foreign = (await usedZone(device, zones)) ?? (await conventionalContent(device, zones));
  if (foreign === undefined) return;
  throw new AppError(
    "FailedPrecondition",
    `pool ${path}: the device has no superblock of ours and ${foreign}. To make a pool of it, which destroys what is on it: couchestor device claim ID --pool NAME --wipe`,
    { data: { field: "path", got: path } },
  );
}

/** A zone with content, other than the remains of a superblock whose first writing was cut short. */
async function usedZone(device: ZonedDevice, zones: readonly Zone[]): Promise<string | undefined> {
  const data = firstDataZone(zones);
  for (const [zone, { state, writtenBytes }] of zones.entries()) {
    if (state !== "active" && state !== "full") continue;
    const home = zone < data && writtenBytes <= superblockBytes;
    if (home && (await isTornSuperblock(device, zone, writtenBytes))) continue;
    return `zone ${zone} is not empty`;
  }
  return undefined;
}

/** Sectors are written whole or not at all; of a superblock only the first two are not zeros. */
async function isTornSuperblock(device: ZonedDevice, zone: number, writtenBytes: number): Promise<boolean> {
  const bytes = new Uint8Array(superblockBytes);
  await device.read(zone, bytes, 0);
  // Behind the write pointer anything may read back.
  bytes.fill(0, writtenBytes);
  const zeros = (from: number, to: number) => bytes.subarray(from, to).every((byte) => byte === 0);
  return (hasSuperblockMagic(bytes) || zeros(0, 512)) && zeros(1024, superblockBytes);
}

/** File systems keep their superblocks in the conventional zones in front, if there are any. */
async function conventionalContent(device: ZonedDevice, zones: readonly Zone[]): Promise<string | undefined> {
  if (zones[0]?.state !== "conventional") return undefined;
  const bytes = new Uint8Array(Math.min(probedBytes, device.zoneBytes));
  await device.read(0, bytes, 0);
  return bytes.every((byte) => byte === 0) ? undefined : "its first MiB is not zeros";
}

/** The superblock's zones first: a pool that is only half gone must not be found. */
async function emptyZones(device: ZonedDevice, zones: readonly Zone[]): Promise<void> {
  const first = firstDataZone(zones) - superblockZoneCount;
  for (let zone = first; zone < zones.length; zone++) {
    const state = zones[zone]?.state;
    if (state === "active" || state === "full") await device.reset(zone);
    if (zone === first + 1) await device.sync();
  }
  await device.sync();
}
