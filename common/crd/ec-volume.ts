/** ECVolume: a block volume of ours. Owner, epoch and journal ensemble are one sub-object of status, changed by one compare-and-swap [E1]. */
import { z } from "zod";
import { countSchema, epochSchema, nameSchema, u32Schema, uuidSchema } from "../api/primitives.ts";
import { codeSchema } from "../code/code.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";
import { fixed, neverBack } from "./transitions.ts";

export const stripeSizeBytesMin = 4096;
export const stripeSizeBytesMax = 64 * 1024 * 1024;
export const stripesPerRunMax = 1024;
export const volumeSizeBytesMax = 2 ** 50;

export const placementRuleSchema = z.strictObject({
  /** The node label that names the failure domain; `node` is the node itself. */
  failureDomain: z
    .string()
    .max(63)
    .describe("The node label that names the failure domain; node is the node itself.")
    .default("node"),
  /** Only pools that carry all of these labels. */
  poolSelector: z.record(z.string(), z.string()).describe("Only pools that carry all of these labels.").default({}),
});
export type PlacementRule = z.infer<typeof placementRuleSchema>;

export const ecVolumeSpecSchema = z
  .strictObject({
    volumeUuid: uuidSchema.describe("Names the volume in every chunk of it; never changes."),
    sizeBytes: z.int().min(1).max(volumeSizeBytesMax).describe("Size of the volume in bytes."),
    blockSizeBytes: z.literal(4096).describe("The unit of reads, writes and checksums."),
    stripeSizeBytes: z
      .int()
      .min(stripeSizeBytesMin)
      .max(stripeSizeBytesMax)
      .multipleOf(4096)
      .describe("Bytes that are encoded together."),
    stripesPerRun: z.int().min(1).max(stripesPerRunMax).describe("Stripes that one ECStripe object stands for."),
    policyRef: nameSchema.describe("Name of the ErasureCodingPolicy it was made by.").optional(),
    code: codeSchema.describe("How stripes become shards."),
    placement: placementRuleSchema.describe("Where shards may be put."),
    journal: z
      .strictObject({
        replicationFactor: z.int().min(1).max(7).describe("Replicas of the journal; a majority acknowledges a write."),
        sizeBytes: countSchema.describe("Size of each replica in bytes."),
      })
      .describe("The write-ahead log."),
    lease: z
      .strictObject({
        milliseconds: u32Schema.describe(
          "How long an owner may serve reads after a heartbeat that a majority answered.",
        ),
        driftPercent: z.int().min(0).max(100).describe("How far the rates of two clocks may differ."),
      })
      .describe("What reads at the owner stand on."),
    readMode: z
      .enum(["lease", "majority"])
      .describe(
        "lease: reads stand on the lease. majority: each batch of reads is confirmed by a majority, and no clock is trusted.",
      ),
  })
  .meta({
    "x-kubernetes-validations": [
      ...["volumeUuid", "blockSizeBytes", "stripeSizeBytes", "stripesPerRun", "code"].map(fixed),
      neverBack("sizeBytes"),
    ],
  });
export type EcVolumeSpec = z.infer<typeof ecVolumeSpecSchema>;

const journalMemberSchema = z.strictObject({
  replicaUuid: uuidSchema.describe("Made with its empty log; a disk that comes back empty is another replica."),
  nodeName: nameSchema.describe("The node it is on."),
  poolUuid: uuidSchema.describe("The pool it is on."),
});

export const ownerSchema = z.strictObject({
  kind: z
    .enum(["target", "maintenance", "none"])
    .describe("target: serves block I/O. maintenance: the brain, for a volume nobody uses. none."),
  nodeName: z.string().describe("The node of the owner; empty for the brain."),
  instanceUuid: uuidSchema.describe("The process that owns it; another one after every restart."),
  epoch: epochSchema.describe("Raised with every owner; what an older one orders is refused."),
});

export const ecVolumeStatusSchema = z.strictObject({
  /** `Importing`: the bytes are not all there yet. `Ready`. `Deleting`: its chunks are being removed. */
  phase: z
    .enum(["Empty", "Importing", "Ready", "Deleting"])
    .describe("Empty, Importing (the bytes are not all there yet), Ready, or Deleting (its chunks are being removed)."),
  /** Written together, by compare-and-swap, and by nothing else. */
  ownership: z
    .strictObject({
      owner: ownerSchema.describe("The one process that may change the volume."),
      journal: z
        .strictObject({
          journalId: uuidSchema.describe(
            "Names the journal; sequence numbers and epochs mean something within one only.",
          ),
          ensembleId: countSchema.describe("Raised with every change of the members."),
          members: z.array(journalMemberSchema).max(7).describe("The replicas of the journal."),
          changedInEpoch: epochSchema.describe("The epoch in which the members were last changed."),
        })
        .describe("The journal and its replicas."),
    })
    .describe("Owner, epoch and journal: changed together by one compare-and-swap, and by nothing else."),
  proposedMembers: z.array(journalMemberSchema).max(7).describe("Members that the journal is to have.").optional(),
  commitSeq: countSchema.describe("The highest journal entry known to be on a majority.").optional(),
  checkpointSeq: countSchema.describe("The journal entry through which the stripe map is checkpointed.").optional(),
  highestEpochSeen: epochSchema.describe("The highest epoch that a journal replica has promised.").optional(),
  /** Bytes of committed runs. */
  importedBytes: countSchema.describe("Bytes of committed runs.").optional(),
  /** sha256 of the whole content as the importer reported it. Advisory. */
  contentSha256: z.string().describe("sha256 of the whole content as the importer reported it. Advisory.").optional(),
  conditions: conditionsSchema.optional(),
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
