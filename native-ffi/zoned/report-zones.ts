/** Asking the kernel for the zones of a device, some thousands at a time. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { errnoError } from "../core/errno.ts";
import { alignedBytes } from "../core/memory.ts";
import type { IoctlThread } from "./ioctl-thread.ts";
import { reportZones, sectorBytes, zoneLayout, zoneReportLayout } from "./structs.ts";
import { parseZoneReport, type ReportedZone } from "./zone-report.ts";

const zonesPerReport = 4096;
/** The most zones of a device: the report of more would take memory without end. */
const zonesMax = 1_000_000;

/**
 * All zones of an open device, in order (BLKREPORTZONE). Throws `FileSystemError` with the kernel's code (ENOTTY and others of a device without zones), and
 * `FailedPrecondition` for more than a million of them.
 */
export async function reportAllZones(
  thread: IoctlThread,
  { fd, path, sizeBytes }: { fd: number; path: string; sizeBytes: number },
): Promise<ReportedZone[]> {
  const zones: ReportedZone[] = [];
  const memory = alignedBytes(zoneReportLayout.sizeBytes + zonesPerReport * zoneLayout.sizeBytes, 8);
  const view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength);
  for (let fromBytes = 0; fromBytes < sizeBytes; ) {
    memory.fill(0);
    view.setBigUint64(zoneReportLayout.fields.sector.offset, BigInt(fromBytes / sectorBytes), true);
    view.setUint32(zoneReportLayout.fields.nr_zones.offset, zonesPerReport, true);
    const { result, errno } = await thread.run(fd, reportZones, [memory]);
    if (result !== 0) throw errnoError(errno, "report zones", path);
    const some = parseZoneReport(memory, path);
    const last = some.at(-1);
    if (last === undefined) break;
    zones.push(...some);
    if (zones.length > zonesMax)
      throw new AppError("FailedPrecondition", `${path}: it has more than ${zonesMax} zones`);
    fromBytes = last.startBytes + last.lengthBytes;
  }
  return zones;
}
