/**
 * Devices: the disks and namespaces of a node, as an agent finds them. Part of the heartbeat (`nodes.ts`), of StorageNode's status, and what
 * `couchestor device … --json` prints.
 */
import { z } from "zod";
import { countSchema, uuidSchema } from "./primitives.ts";

/** The most devices that one node reports. */
export const devicesMax = 1024;
const textMax = 256;
const text = z.string().max(textMax);

/** How the device is attached. `unknown`: a bus that the kernel does not name. */
export const transportSchema = z.enum([
  "pcie",
  "tcp",
  "rdma",
  "fc",
  "sata",
  "sas",
  "usb",
  "virtio",
  "iscsi",
  "mmc",
  "raid",
  "pmem",
  "virtual",
  "unknown",
]);
export type Transport = z.infer<typeof transportSchema>;

/** As the kernel has it: `host-managed` zones can only be written in sequence. */
export const zonedModelSchema = z.enum(["none", "host-aware", "host-managed"]);
export type ZonedModel = z.infer<typeof zonedModelSchema>;

export const deviceTierSchema = z.enum(["hot", "warm", "cold"]);

/** The verdict on a device's health. `Unknown`: nothing could be read yet, which is no verdict. `Gone`: it was there and is no longer. */
export const deviceHealthStateSchema = z.enum(["Healthy", "Wearing", "Failing", "Gone", "Unknown"]);
export type DeviceHealthState = z.infer<typeof deviceHealthStateSchema>;

/** What the device says of itself, and the verdict. A figure that the device does not report is absent, never zero. */
export const deviceHealthSchema = z.strictObject({
  state: deviceHealthStateSchema,
  /** Why, for a person; empty while Healthy. */
  reasons: z.array(text).max(16),
  temperatureCelsius: z.number().optional(),
  /** 0 is new, 1 is what the maker guarantees; may pass 1. */
  wearRatio: z.number().min(0).optional(),
  /** Spare blocks left, 1 is all. */
  spareRatio: z.number().min(0).max(1).optional(),
  spareThresholdRatio: z.number().min(0).max(1).optional(),
  mediaErrors: countSchema.optional(),
  reallocatedSectors: countSchema.optional(),
  powerOnHours: countSchema.optional(),
  unsafeShutdowns: countSchema.optional(),
});
export type DeviceHealth = z.infer<typeof deviceHealthSchema>;

/**
 * Why a device is not free.
 *   active: mounted, swap, held by another device (dm, md, bcache), opened by another process, a part of multipath: nobody may touch it
 *   content: partitions, a file system, LVM, RAID, swap or unknown data lie on it, used by nobody at the moment: only an order by id may erase it
 *   ours: it carries a pool of ours
 *   unfit: read-only, empty, too small, without an identity …: can't be used
 */
export const useReasonSchema = z.strictObject({
  kind: z.enum(["active", "content", "ours", "unfit"]),
  /** One word: `mounted`, `partitioned`, `xfs`, `lvm`, `pool` … */
  what: z.string().max(32),
  /** The whole of it for a person: `/dev/sda1 is mounted at /`. */
  detail: text,
});
export type UseReason = z.infer<typeof useReasonSchema>;

/** The pool that a label on the device names. */
export const deviceLabelSchema = z.strictObject({
  poolUuid: uuidSchema,
  poolName: z.string().max(255),
  /** Zeros: not bound to a cluster yet. */
  clusterUuid: uuidSchema,
  /** The node that it was claimed for; empty: whichever opens it first. */
  nodeName: z.string().max(255),
  kind: z.enum(["block", "zoned"]),
});
export type DeviceLabel = z.infer<typeof deviceLabelSchema>;

export const deviceInfoSchema = z.strictObject({
  /** Stays the same when names and slots change: what the device says of itself, such as `nvme-eui.0025385b21404321` or `wwn-0x5000c50000000001`. */
  id: text,
  /** False: the device tells nothing of itself, so the id is only the kernel's name for it. */
  idStable: z.boolean(),
  /** `/dev/nvme0n1`: may be another one after the next start. */
  path: text,
  model: text.optional(),
  serial: text.optional(),
  firmware: text.optional(),
  wwn: text.optional(),
  transport: transportSchema,
  rotational: z.boolean().optional(),
  zoned: zonedModelSchema,
  capacityBytes: countSchema,
  logicalBlockBytes: countSchema,
  physicalBlockBytes: countSchema,
  numaNode: z.int().min(0).optional(),
  tier: deviceTierSchema,
  tierReason: text,
  /** Empty: free. */
  inUse: z.array(useReasonSchema).max(16),
  label: deviceLabelSchema.optional(),
  health: deviceHealthSchema.optional(),
});
export type DeviceInfo = z.infer<typeof deviceInfoSchema>;
