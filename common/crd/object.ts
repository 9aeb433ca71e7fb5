/** The shape every resource shares, as Kubernetes has it. The store fills `uid`, `resourceVersion`, `generation` and `creationTimestamp`. */
import { z } from "zod";
import { countSchema, labelsSchema, nameSchema, timestampSchema } from "../api/primitives.ts";

export const apiGroup = "storage.billyronks.io";
export const apiVersion = `${apiGroup}/v1`;

export const metadataSchema = z.looseObject({
  name: nameSchema,
  uid: z.string().optional(),
  /** Opaque; equal means unchanged. Compare-and-swap by it. */
  resourceVersion: z.string().optional(),
  /** Raised by the store when `spec` changes. */
  generation: countSchema.optional(),
  creationTimestamp: timestampSchema.optional(),
  deletionTimestamp: timestampSchema.optional(),
  labels: labelsSchema.optional(),
  annotations: z.record(z.string(), z.string()).optional(),
  finalizers: z.array(z.string()).optional(),
});
export type Metadata = z.infer<typeof metadataSchema>;

export const conditionSchema = z.strictObject({
  type: z.string(),
  status: z.enum(["True", "False", "Unknown"]),
  reason: z.string(),
  message: z.string(),
  lastTransitionTime: timestampSchema,
  observedGeneration: countSchema.optional(),
});
export type Condition = z.infer<typeof conditionSchema>;

/** A resource: `status` is changed by `updateStatus` only, everything else by `update` only. */
export interface Resource<Spec = unknown, Status = unknown> {
  apiVersion: string;
  kind: string;
  metadata: Metadata;
  spec: Spec;
  status?: Status | undefined;
}

/** What the store and the CRD generator need to know of a kind. */
export interface ResourceKind<Spec = unknown, Status = unknown> {
  kind: string;
  plural: string;
  shortNames: readonly string[];
  spec: z.ZodType<Spec>;
  status: z.ZodType<Status>;
}
