/**
 * Where the label of a zoned device lies, asked of the device: many host-managed disks begin with conventional zones, and sysfs does not tell how
 * many. Asked in a thread of its own, since a dying disk may take very long to answer.
 */
import { errnoError } from "@couchestor/native-ffi/core/errno.ts";
import { alignedBytes } from "@couchestor/native-ffi/core/memory.ts";
import { IoctlThread } from "@couchestor/native-ffi/zoned/ioctl-thread.ts";
import { reportZones, sectorBytes, zoneLayout, zoneReportLayout } from "@couchestor/native-ffi/zoned/structs.ts";
import { parseZoneReport, type ReportedZone } from "@couchestor/native-ffi/zoned/zone-report.ts";
import { lookBytes } from "./content.ts";
import type { LabelZone } from "./ports.ts";

const zonesPerReport = 1024;
const labelZoneCount = 2;

/** The first two zones that are written from front to back; fewer if there are fewer. Throws `FileSystemError`: ENOTTY if it has no zones. */
export async function readLabelZones(fd: number, path: string, sizeBytes: number): Promise<LabelZone[]> {
  const thread = new IoctlThread();
  try {
    const found: ReportedZone[] = [];
    const memory = alignedBytes(zoneReportLayout.sizeBytes + zonesPerReport * zoneLayout.sizeBytes, 8);
    const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
    for (let fromBytes = 0; found.length < labelZoneCount && fromBytes < sizeBytes; ) {
      memory.fill(0);
      view.setBigUint64(zoneReportLayout.fields.sector.offset, BigInt(fromBytes / sectorBytes), true);
      view.setUint32(zoneReportLayout.fields.nr_zones.offset, zonesPerReport, true);
      const { result, errno } = await thread.run(fd, reportZones, [memory]);
      if (result !== 0) throw errnoError(errno, "report zones", path);
      const zones = parseZoneReport(memory, path);
      const last = zones.at(-1);
      if (last === undefined) break;
      found.push(...zones.filter(({ state }) => state !== "conventional"));
      fromBytes = last.startBytes + last.lengthBytes;
    }
    return found.slice(0, labelZoneCount).map(labelZoneOf);
  } finally {
    await thread.close();
  }
}

/** Where to look for the newest label of a zone. Pure. */
export function labelZoneOf(zone: Omit<ReportedZone, "lengthBytes">): LabelZone {
  const { state, startBytes, capacityBytes, writtenBytes } = zone;
  if (state === "offline") return { startBytes, endBytes: 0 };
  // A zone that the device holds read-only has no write pointer any more; labels are few, so they are at its front.
  return { startBytes, endBytes: state === "read-only" ? Math.min(capacityBytes, lookBytes) : writtenBytes };
}
