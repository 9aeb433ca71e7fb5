/** VolumeTombstone: what is left of a deleted volume, as long as some pool may still hold chunks of it. Named by the volume's uuid. */
import { z } from "zod";
import { countSchema, epochSchema, nameSchema, timestampSchema, uuidSchema } from "../api/primitives.ts";
import type { Resource, ResourceKind } from "./object.ts";

const specSchema = z.strictObject({
  volumeUuid: uuidSchema.describe("The volume that was deleted."),
  name: nameSchema.describe("The name that it had."),
  epoch: epochSchema.describe("The epoch of the owner that deleted it, by which its deletions are ordered."),
  deletedAt: timestampSchema.describe("When it was deleted."),
});
const statusSchema = z.strictObject({
  pendingPools: z.array(uuidSchema.describe("A pool.")).describe("Pools that may still hold chunks of the volume."),
  sweptPools: countSchema.describe("Pools that hold nothing of it any more."),
});
export type TombstoneSpec = z.infer<typeof specSchema>;
export type TombstoneStatus = z.infer<typeof statusSchema>;
export type Tombstone = Resource<TombstoneSpec, TombstoneStatus>;
export const tombstoneKind: ResourceKind<TombstoneSpec, TombstoneStatus> = {
  kind: "VolumeTombstone",
  plural: "volumetombstones",
  shortNames: [],
  spec: specSchema,
  status: statusSchema,
};
