/** What the kernel's report of zones says: pure reading of the bytes of BLKREPORTZONE. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { reportHasCapacity, sectorBytes, zoneLayout, zoneReportLayout } from "./structs.ts";

/** `active` is open or closed: partly written. */
export type ZoneState = "empty" | "active" | "full" | "read-only" | "offline" | "conventional";

export interface ReportedZone {
  state: ZoneState;
  startBytes: number;
  lengthBytes: number;
  /** What of the length can be written. */
  capacityBytes: number;
  /** The write pointer, from the zone's beginning; the capacity where there is none. */
  writtenBytes: number;
}

const conventionalType = 1;
/** enum blk_zone_cond; 0xff stands for any of the three that are active. */
const states: Readonly<Record<number, ZoneState>> = {
  0: "conventional",
  1: "empty",
  2: "active",
  3: "active",
  4: "active",
  13: "read-only",
  14: "full",
  15: "offline",
  255: "active",
};

/** The zones in the answer. Throws `FileSystemError` EIO for a condition that is not known, or numbers that can't be. */
export function parseZoneReport(bytes: Uint8Array, path: string): ReportedZone[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { nr_zones, flags } = zoneReportLayout.fields;
  const count = view.getUint32(nr_zones.offset, true);
  if (zoneReportLayout.sizeBytes + count * zoneLayout.sizeBytes > bytes.byteLength)
    throw new FileSystemError("EIO", `report zones (${count} in ${bytes.byteLength} bytes)`, path);
  const hasCapacity = (view.getUint32(flags.offset, true) & reportHasCapacity) !== 0;
  return Array.from({ length: count }, (_, i) => {
    const at = zoneReportLayout.sizeBytes + i * zoneLayout.sizeBytes;
    const u64 = (field: "start" | "len" | "wp" | "capacity") =>
      Number(view.getBigUint64(at + zoneLayout.fields[field].offset, true)) * sectorBytes;
    const type = view.getUint8(at + zoneLayout.fields.type.offset);
    const condition = view.getUint8(at + zoneLayout.fields.cond.offset);
    const state = type === conventionalType ? "conventional" : states[condition];
    if (state === undefined)
      throw new FileSystemError("EIO", `report zones (condition ${condition} of zone ${i} is not known)`, path);
    const [startBytes, lengthBytes] = [u64("start"), u64("len")];
    const capacityBytes = hasCapacity ? u64("capacity") : lengthBytes;
    const pointer = u64("wp") - startBytes;
    const writtenBytes = state === "empty" ? 0 : state === "active" ? pointer : capacityBytes;
    if (lengthBytes === 0 || capacityBytes > lengthBytes || writtenBytes < 0 || writtenBytes > capacityBytes)
      throw new FileSystemError("EIO", `report zones (zone ${i}: written ${writtenBytes} of ${capacityBytes})`, path);
    return { state, startBytes, lengthBytes, capacityBytes, writtenBytes };
  });
}
