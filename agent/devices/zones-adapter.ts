/** The zones of a device, asked of the device itself: in a thread of its own, since a dying disk may take very long to answer. */
import { errnoError } from "@couchestor/native-ffi/core/errno.ts";
import { alignedBytes } from "@couchestor/native-ffi/core/memory.ts";
import { IoctlThread } from "@couchestor/native-ffi/zoned/ioctl-thread.ts";
import { reportZones, sectorBytes, zoneLayout, zoneReportLayout } from "@couchestor/native-ffi/zoned/structs.ts";
import { parseZoneReport } from "@couchestor/native-ffi/zoned/zone-report.ts";
import type { LookedZone } from "./ports.ts";

const zonesPerReport = 4096;

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
