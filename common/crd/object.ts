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
  type: z.string().describe("What the condition is about, such as Ready."),
  status: z.enum(["True", "False", "Unknown"]).describe("True, False or Unknown."),
  reason: z.string().describe("One word in CamelCase, for programs."),
  message: z.string().describe("What is the case and what to do, for people."),
  lastTransitionTime: timestampSchema.describe("When status last changed."),
  observedGeneration: countSchema.describe("The generation of the spec that it speaks of.").optional(),
});
export type Condition = z.infer<typeof conditionSchema>;

/** The conditions of a status: one of each type. */
export const conditionsSchema = z
  .array(conditionSchema)
  .describe("How things stand, one condition of each type.")
  .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"] });

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
  /** Text fields of `spec` by whose values objects can be listed. */
  selectable?: readonly string[];
  spec: z.ZodType<Spec>;
  status: z.ZodType<Status>;
}
