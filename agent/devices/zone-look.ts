/**
 * The zones of a device that is looked at, asked of the device itself: many host-managed disks begin with conventional zones, which sysfs does not
 * tell; and what reads back from behind a write pointer may be anything. Asked in a thread of its own, since a dying disk may take very long.
 */
import { errnoError } from "@couchestor/native-ffi/core/errno.ts";
import { alignedBytes } from "@couchestor/native-ffi/core/memory.ts";
import { IoctlThread } from "@couchestor/native-ffi/zoned/ioctl-thread.ts";
import { reportZones, sectorBytes, zoneLayout, zoneReportLayout } from "@couchestor/native-ffi/zoned/structs.ts";
import { parseZoneReport } from "@couchestor/native-ffi/zoned/zone-report.ts";
import { lookBytes } from "./content.ts";
import type { LookedZone } from "./ports.ts";

const zonesPerReport = 4096;
const labelZoneCount = 2;

/** All zones, in order. Throws `FileSystemError`: ENOTTY if it has none. */
export async function readZones(fd: number, path: string, sizeBytes: number): Promise<LookedZone[]> {
  const thread = new IoctlThread();
  try {
    const found: LookedZone[] = [];
    const memory = alignedBytes(zoneReportLayout.sizeBytes + zonesPerReport * zoneLayout.sizeBytes, 8);
    const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    for (let fromBytes = 0; fromBytes < sizeBytes; ) {
      memory.fill(0);
      view.setBigUint64(zoneReportLayout.fields.sector.offset, BigInt(fromBytes / sectorBytes), true);
      view.setUint32(zoneReportLayout.fields.nr_zones.offset, zonesPerReport, true);
      const { result, errno } = await thread.run(fd, reportZones, [memory]);
      if (result !== 0) throw errnoError(errno, "report zones", path);
      const zones = parseZoneReport(memory, path);
      const last = zones.at(-1);
      if (last === undefined) break;
      found.push(...zones);
      fromBytes = last.startBytes + last.lengthBytes;
    }
    return found;
  } finally {
    await thread.close();
  }
}

/** A part of a device, to be read. */
export interface Extent {
  offset: number;
  bytes: number;
}

/** Where the newest labels are: the last MiB before the write pointers of the first two zones that are written from front to back. Pure. */
export function labelExtents(zones: readonly LookedZone[]): Extent[] {
  const sequential = zones.filter(({ state }) => state !== "conventional").slice(0, labelZoneCount);
  return sequential.map((zone) => {
    const end = Math.floor(readableBytes(zone) / 4096) * 4096;
    const bytes = Math.min(end, lookBytes);
    return { offset: zone.startBytes + end - bytes, bytes };
  });
}

/** What of the first MiB was ever written: all of a conventional zone's, as nobody counts there. Pure. */
export function headExtent([first]: readonly LookedZone[]): Extent {
  return { offset: 0, bytes: first === undefined ? 0 : Math.min(readableBytes(first), lookBytes) };
}

/** How many zones hold something, others than conventional ones, which do not tell. Pure. */
export function writtenZones(zones: readonly LookedZone[]): number {
  return zones.filter(({ state }) => state === "active" || state === "full").length;
}

/** From the zone's beginning. One that the device holds read-only has no write pointer any more; what we look for is at its front. */
function readableBytes({ state, capacityBytes, writtenBytes }: LookedZone): number {
  if (state === "offline") return 0;
  return state === "read-only" ? Math.min(capacityBytes, lookBytes) : writtenBytes;
}
