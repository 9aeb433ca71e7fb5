/** StorageNode: a node with its pools, as its agent reported them; written on transitions only, never per heartbeat. */
import { z } from "zod";
import { poolInfoSchema } from "../api/nodes.ts";
import { labelsSchema, timestampSchema, uuidSchema } from "../api/primitives.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";

export const storageNodeSpecSchema = z.strictObject({
  labels: labelsSchema.describe("zone, rack and whatever else a placement rule may name, as the agent reports them."),
});
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
