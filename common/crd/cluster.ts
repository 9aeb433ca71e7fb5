/** Cluster: the one object, named `cluster`, that says which cluster this is. Every pool carries the same identity. */
import { z } from "zod";
import { uuidSchema } from "../api/primitives.ts";
import type { Resource, ResourceKind } from "./object.ts";

export const clusterSpecSchema = z
  .strictObject({
    clusterUuid: uuidSchema.describe("The identity that every pool and chunk of this cluster carries. Never changes."),
    repairPaused: z
      .boolean()
      .describe("true: an administrator said that no new repair shall start. Absent: false.")
      .optional(),
  })
  .meta({
    "x-kubernetes-validations": [
      {
        rule: "self.clusterUuid == oldSelf.clusterUuid",
        message: "clusterUuid: allowed is only what it was: every disk of the cluster carries it",
        fieldPath: ".clusterUuid",
      },
    ],
  });
export type ClusterSpec = z.infer<typeof clusterSpecSchema>;

const clusterStatusSchema = z.strictObject({});

export type Cluster = Resource<ClusterSpec, Record<string, never>>;
export const clusterKind: ResourceKind<ClusterSpec, Record<string, never>> = {
  kind: "Cluster",
  plural: "clusters",
  shortNames: [],
  spec: clusterSpecSchema,
  status: clusterStatusSchema as unknown as z.ZodType<Record<string, never>>,
};
