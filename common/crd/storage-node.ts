/** StorageNode: a node with its pools, as its agent reported them; written on transitions only, never per heartbeat. */
import { z } from "zod";
import {
  type DeviceInfo,
  deviceHealthStateSchema,
  devicesMax,
  deviceTierSchema,
  transportSchema,
} from "../api/devices.ts";
import { poolInfoSchema } from "../api/nodes.ts";
import { countSchema, labelsSchema, timestampSchema, uuidSchema } from "../api/primitives.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";

export const storageNodeSpecSchema = z.strictObject({
  labels: labelsSchema.describe("zone, rack and whatever else a placement rule may name, as the agent reports them."),
});
/** A device in brief; the whole of it is in metrics and in `couchestor device list --all-nodes`. */
export const deviceBriefSchema = z.strictObject({
  id: z.string().describe("What the device says of itself; stays when names change."),
  path: z.string().describe("Where it is at the moment."),
  model: z.string().optional().describe("Maker's name of it."),
  serial: z.string().optional().describe("Its serial number."),
  transport: transportSchema.describe("How it is attached."),
  capacityBytes: countSchema.describe("Its size."),
  tier: deviceTierSchema.describe("The tier that it would suit."),
  use: z
    .enum(["free", "active", "content", "ours", "unfit"])
    .describe("free; active: in use by others; content: data of others on it; ours: a pool; unfit: can't be used."),
  poolUuid: uuidSchema.optional().describe("The pool on it."),
  health: deviceHealthStateSchema.optional().describe("The verdict on its health."),
});

/** What a StorageNode says of a device. */
export function deviceBrief(device: DeviceInfo): z.infer<typeof deviceBriefSchema> {
  const { id, path, model, serial, transport, capacityBytes, tier, inUse, label, health } = device;
  return {
    id,
    path,
    ...(model === undefined ? {} : { model }),
    ...(serial === undefined ? {} : { serial }),
    transport,
    capacityBytes,
    tier,
    use: inUse[0]?.kind ?? "free",
    ...(label === undefined ? {} : { poolUuid: label.poolUuid }),
    ...(health === undefined ? {} : { health: health.state }),
  };
}

export const storageNodeStatusSchema = z.strictObject({
  state: z.enum(["Online", "Offline"]).describe("Offline: no heartbeat has come for some time."),
  since: timestampSchema.describe("When state last changed."),
  instanceUuid: uuidSchema.describe("The agent's process; another one after every restart."),
  version: z.string().describe("The agent's version."),
  clusterUrl: z.string().describe("Where the brain and other agents reach it."),
  adminUrl: z.string().describe("Where data is imported and exported."),
  codec: z.string().describe("What it encodes with."),
  /** As of the last transition; live figures are in the brain's memory and metrics. */
  pools: z
    .array(poolInfoSchema)
    .max(1024)
    .describe("Its pools as of the last transition; live figures are in metrics."),
  devices: z
    .array(deviceBriefSchema)
    .max(devicesMax)
    .optional()
    .describe("Its disks as of the last transition. Absent: its agent reports none."),
  conditions: conditionsSchema.optional(),
});
export type StorageNodeSpec = z.infer<typeof storageNodeSpecSchema>;
export type StorageNodeStatus = z.infer<typeof storageNodeStatusSchema>;
export type StorageNode = Resource<StorageNodeSpec, StorageNodeStatus>;
export const storageNodeKind: ResourceKind<StorageNodeSpec, StorageNodeStatus> = {
  kind: "StorageNode",
  plural: "storagenodes",
  shortNames: ["sn"],
  spec: storageNodeSpecSchema,
  status: storageNodeStatusSchema,
};
