/**
 * What a test in the lab's guest may ask of the host outside, and how: a file `/job/requests/N.json` is answered by `/job/replies/N.json`.
 */
import { z } from "zod";

const name = z.string().regex(/^[a-z][a-z0-9]{0,15}$/);

/** An error that QEMU gives the guest instead of doing the I/O. */
const faultSchema = z.strictObject({
  operation: z.enum(["read", "write", "flush"]),
  /** 512-byte sector; every sector when absent. */
  sector: z.number().int().min(0).optional(),
  /** 5 is EIO, 28 ENOSPC. */
  errno: z.number().int().min(1).max(133).default(5),
  once: z.boolean().default(false),
});

export const labRequestSchema = z.discriminatedUnion("verb", [
  z.strictObject({
    verb: z.literal("plug"),
    /** Names the disk and its image: plugged again under the same name it has its old contents. */
    disk: name,
    kind: z.enum(["nvme", "scsi", "virtio"]),
    serial: z.string().regex(/^[A-Za-z0-9-]{1,20}$/),
    sizeMiB: z.number().int().min(1).max(8192),
    /** A free PCIe slot, `rp0` to `rp3`; a SCSI disk needs none. */
    slot: z
      .string()
      .regex(/^rp[0-3]$/)
      .default("rp0"),
    faults: z.array(faultSchema).max(16).default([]),
  }),
  z.strictObject({ verb: z.literal("unplug"), device: name }),
  z.strictObject({
    verb: z.literal("throttle"),
    /** Of the disk `nv0`; 0 is unlimited. */
    bytesPerSecond: z.number().int().min(0),
    operationsPerSecond: z.number().int().min(0).default(0),
  }),
  z.strictObject({
    verb: z.literal("set"),
    device: name,
    property: z.string().regex(/^[a-z_-]{1,40}$/),
    value: z.union([z.number(), z.boolean(), z.string().max(64)]),
  }),
]);
export type LabRequest = z.infer<typeof labRequestSchema>;
export type LabRequestInput = z.input<typeof labRequestSchema>;

export const labReplySchema = z.object({ error: z.string().optional() });
