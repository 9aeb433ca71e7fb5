/** The structs and request numbers of zoned block devices (<linux/blkzoned.h>) and of NVMe commands with 64-bit results (<linux/nvme_ioctl.h>). */
import { defineStruct } from "../core/struct.ts";
import { passthruFields } from "../nvme/structs.ts";

/** BLKREPORTZONE, BLKRESETZONE, BLKFINISHZONE. */
export const reportZones = 0xc010_1282;
export const resetZone = 0x4010_1283;
export const finishZone = 0x4010_1288;
/** NVME_IOCTL_ID returns the namespace's number; NVME_IOCTL_IO64_CMD takes a command for it. */
export const namespaceId = 0x4e40;
export const ioCommand64 = 0xc050_4e48;

/** What sectors are to these calls, whatever the device's blocks are. */
export const sectorBytes = 512;

export const zoneReportLayout = defineStruct("blk_zone_report", { sector: "u64", nr_zones: "u32", flags: "u32" });
/** In `flags`: zones tell their capacity. */
export const reportHasCapacity = 1;

export const zoneLayout = defineStruct("blk_zone", {
  start: "u64",
  len: "u64",
  wp: "u64",
  type: "u8",
  cond: "u8",
  non_seq: "u8",
  reset: "u8",
  resv: "u32",
  capacity: "u64",
  reserved0: "u64",
  reserved1: "u64",
  reserved2: "u64",
});

export const zoneRangeLayout = defineStruct("blk_zone_range", { sector: "u64", nr_sectors: "u64" });

export const passthru64Layout = defineStruct("nvme_passthru_cmd64", { ...passthruFields, rsvd2: "u32", result: "u64" });

/** NVMe ZNS command set 1.1, section 3.4.1: Zone Append. */
export const opcodeZoneAppend = 0x7d;
