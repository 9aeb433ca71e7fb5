/** StorageNode: a node with its pools, as its agent reported them; written on transitions only, never per heartbeat. */
import { z } from "zod";
import { poolInfoSchema } from "../api/nodes.ts";
import { labelsSchema, timestampSchema, uuidSchema } from "../api/primitives.ts";
import { conditionSchema, type Resource, type ResourceKind } from "./object.ts";

export const storageNodeSpecSchema = z.strictObject({ labels: labelsSchema });
export const storageNodeStatusSchema = z.strictObject({
  state: z.enum(["Online", "Offline"]),
  since: timestampSchema,
  instanceUuid: uuidSchema,
  version: z.string(),
  clusterUrl: z.string(),
  adminUrl: z.string(),
  codec: z.string(),
  /** As of the last transition; live figures are in the brain's memory and metrics. */
  pools: z.array(poolInfoSchema),
  conditions: z.array(conditionSchema).optional(),
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
