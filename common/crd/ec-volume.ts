/** ECVolume: a block volume of ours. Owner, epoch and journal ensemble are one sub-object of status, changed by one compare-and-swap [E1]. */
import { z } from "zod";
import { countSchema, epochSchema, nameSchema, u32Schema, uuidSchema } from "../api/primitives.ts";
import { codeSchema } from "../code/code.ts";
import { conditionSchema, type Resource, type ResourceKind } from "./object.ts";

export const stripeSizeBytesMin = 4096;
export const stripeSizeBytesMax = 64 * 1024 * 1024;
export const stripesPerRunMax = 1024;
export const volumeSizeBytesMax = 2 ** 50;

export const placementRuleSchema = z.strictObject({
  /** The node label that names the failure domain; `node` is the node itself. */
  failureDomain: z.string().max(63).default("node"),
  /** Only pools that carry all of these labels. */
  poolSelector: z.record(z.string(), z.string()).default({}),
});
export type PlacementRule = z.infer<typeof placementRuleSchema>;

export const ecVolumeSpecSchema = z.strictObject({
  volumeUuid: uuidSchema,
  sizeBytes: z.int().min(1).max(volumeSizeBytesMax),
  blockSizeBytes: z.literal(4096),
  stripeSizeBytes: z.int().min(stripeSizeBytesMin).max(stripeSizeBytesMax).multipleOf(4096),
  stripesPerRun: z.int().min(1).max(stripesPerRunMax),
  policyRef: nameSchema.optional(),
  code: codeSchema,
  placement: placementRuleSchema,
  journal: z.strictObject({ replicationFactor: z.int().min(1).max(7), sizeBytes: countSchema }),
  lease: z.strictObject({ milliseconds: u32Schema, driftPercent: z.int().min(0).max(100) }),
  readMode: z.enum(["lease", "majority"]),
});
export type EcVolumeSpec = z.infer<typeof ecVolumeSpecSchema>;

export const ownerSchema = z.strictObject({
  kind: z.enum(["target", "maintenance", "none"]),
  nodeName: z.string(),
  instanceUuid: uuidSchema,
  epoch: epochSchema,
});

export const ecVolumeStatusSchema = z.strictObject({
  /** `Importing`: the bytes are not all there yet. `Ready`. `Deleting`: its chunks are being removed. */
  phase: z.enum(["Empty", "Importing", "Ready", "Deleting"]),
  /** Written together, by compare-and-swap, and by nothing else. */
  ownership: z.strictObject({
    owner: ownerSchema,
    journal: z.strictObject({
      journalId: uuidSchema,
      ensembleId: countSchema,
      members: z.array(z.strictObject({ replicaUuid: uuidSchema, nodeName: nameSchema, poolUuid: uuidSchema })).max(7),
      changedInEpoch: epochSchema,
    }),
  }),
  proposedMembers: z
    .array(z.strictObject({ replicaUuid: uuidSchema, nodeName: nameSchema, poolUuid: uuidSchema }))
    .optional(),
  commitSeq: countSchema.optional(),
  checkpointSeq: countSchema.optional(),
  highestEpochSeen: epochSchema.optional(),
  /** Bytes of committed runs. */
  importedBytes: countSchema.optional(),
  /** sha256 of the whole content as the importer reported it. Advisory. */
  contentSha256: z.string().optional(),
  conditions: z.array(conditionSchema).optional(),
});
export type EcVolumeStatus = z.infer<typeof ecVolumeStatusSchema>;

export type EcVolume = Resource<EcVolumeSpec, EcVolumeStatus>;
export const ecVolumeKind: ResourceKind<EcVolumeSpec, EcVolumeStatus> = {
  kind: "ECVolume",
  plural: "ecvolumes",
  shortNames: ["ecv"],
  spec: ecVolumeSpecSchema as unknown as z.ZodType<EcVolumeSpec>,
  status: ecVolumeStatusSchema,
};
