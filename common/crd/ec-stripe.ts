/**
 * ECStripe: a run of stripes of one volume with one placement. All that commits is in `spec`, by compare-and-swap; `status` only observes,
 * and changes on transitions only. Names are `{volume}-{firstStripe, 10 digits}` so that a prefix lists a volume's runs in order.
 */
import { z } from "zod";
import { type runMapSchema, shardExceptionSchema, shardExceptionsMax, shardLocationSchema } from "../api/maps.ts";
import {
  actNoSchema,
  countSchema,
  epochSchema,
  generationSchema,
  nameSchema,
  shardIndexSchema,
  timestampSchema,
  u32Schema,
  uuidSchema,
} from "../api/primitives.ts";
import { codeSchema } from "../code/code.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";
import { fixed, neverBack } from "./transitions.ts";

export const placementSchema = z.strictObject({
  version: u32Schema.describe("Raised with every new placement of the run."),
  code: codeSchema.describe("How its stripes became shards."),
  shardLocations: z.array(shardLocationSchema).max(48).describe("Where each shard of every stripe of the run is."),
  since: timestampSchema.describe("When it was committed."),
});
export type Placement = z.infer<typeof placementSchema>;

/** A shard's place as people read it. It is in status: nothing that commits may be derived from it. */
const readableLocationSchema = z.strictObject({
  shardIndex: shardIndexSchema.describe("Which shard."),
  isDataShard: z.boolean().describe("Whether it holds data; otherwise parity.").optional(),
  poolName: nameSchema.describe("The pool."),
  nodeName: nameSchema.describe("The node of the pool."),
  offset: countSchema.describe("Where in the pool it begins; for runs of one stripe.").optional(),
  sizeBytes: countSchema.describe("Its size; for runs of one stripe.").optional(),
  checksum: z.string().max(128).describe("Of its content; for runs of one stripe.").optional(),
});

const shardHealthSchema = z.strictObject({
  shardIndex: shardIndexSchema.describe("Which shard."),
  state: z
    .enum(["Healthy", "Missing", "Corrupted", "Rebuilding"])
    .describe("Healthy, Missing, Corrupted (its checksum is wrong) or Rebuilding."),
  lastVerified: timestampSchema.describe("When it was last read and checked.").optional(),
  error: z.string().max(1024).describe("What is wrong with it.").optional(),
});

export const ecStripeSpecSchema = z
  .strictObject({
    volumeRef: nameSchema.describe("Name of the ECVolume."),
    volumeUuid: uuidSchema.describe("Its volumeUuid, which another volume of that name doesn't have."),
    journalId: uuidSchema.describe("The volume's journal."),
    stripeId: countSchema.describe("The first stripe of the run."),
    policyRef: nameSchema.describe("Name of the ErasureCodingPolicy.").optional(),
    firstStripe: countSchema.describe("The first stripe of the run, counted from 0."),
    stripeCount: u32Schema.describe("How many stripes the run has."),
    lbaRange: z
      .strictObject({
        startBytes: countSchema.describe("The first byte of the volume that the run covers."),
        endBytes: countSchema.describe("The byte behind the last."),
      })
      .describe("The part of the volume that the run covers."),
    /** `store`: commits happen here. `journal`: the live volume's journal commits, this is a summary. Never goes back. */
    authority: z
      .enum(["store", "journal"])
      .describe(
        "store: commits happen in this object. journal: the live volume's journal commits, and this is a summary. Never goes back.",
      ),
    /** The highest owner epoch that has fenced this run: a commit by an older epoch is refused, and no garbage of older epochs may be removed before. */
    fencedEpoch: epochSchema.describe("Commits of older epochs are refused."),
    /** 0: never written, reads as zeros. With `authority: store` all stripes of the run share these three. */
    generation: generationSchema.describe(
      "How often the run has been rewritten; 0: never written, reads as zeros. Never goes back.",
    ),
    encodeEpoch: epochSchema.describe("The epoch of the act that encoded this generation."),
    encodeAct: actNoSchema.describe("The act that encoded this generation."),
    throughSeq: countSchema.describe("The journal entry through which the content goes."),
    code: codeSchema.describe("How stripes become shards."),
    /** All in use, newest last; one for `authority: store`, none before the first write. */
    placements: z
      .array(placementSchema)
      .max(4)
      .describe("All placements in use, newest last; none before the first write."),
    exceptions: z
      .array(shardExceptionSchema)
      .max(shardExceptionsMax)
      .describe("Shards of single stripes that are elsewhere than the placement says."),
    proposedPlacement: z
      .strictObject({
        version: u32Schema.describe("The version that it would have."),
        reason: z.string().describe("Why."),
        planId: z.string().describe("The plan that it belongs to."),
      })
      .describe("A placement that the brain asks the volume's owner for.")
      .optional(),
    /** sha256 of the run's content at encoding. Advisory. */
    checksum: z.string().describe("sha256 of the run's content at encoding. Advisory.").optional(),
  })
  .meta({
    "x-kubernetes-validations": [
      ...["generation", "fencedEpoch"].map(neverBack),
      ...["volumeRef", "volumeUuid", "firstStripe", "stripeCount", "lbaRange"].map(fixed),
      {
        rule: "oldSelf.authority == 'store' || self.authority == 'journal'",
        message: "authority: allowed is journal once it is journal",
        fieldPath: ".authority",
      },
    ],
  });
export type EcStripeSpec = z.infer<typeof ecStripeSpecSchema>;

export const stripeStates = ["Unwritten", "Writing", "Healthy", "Degraded", "Rebuilding", "Failed"] as const;
const shardTotal = (text: string) => z.int().min(0).max(48).describe(text).optional();

export const ecStripeStatusSchema = z.strictObject({
  state: z
    .enum(stripeStates)
    .describe(
      "Unwritten: nothing is stored, it reads as zeros. Writing: its first content is being stored, or its shards have not been looked at yet. Healthy: all shards are there. Degraded: readable, some shards are lost. Rebuilding: lost shards are being rebuilt. Failed: fewer shards are reachable than reading takes.",
    ),
  missingShards: z.array(shardIndexSchema).max(48).describe("Indexes of shards that are not there."),
  observedEpoch: epochSchema.describe("The epoch that this status was observed in."),
  observedSeq: countSchema.describe("The journal entry that this status was observed at."),
  lastScrub: timestampSchema.describe("When every chunk was last looked for.").optional(),
  lastAudit: timestampSchema.describe("When every byte was last read and checked.").optional(),
  lbaRange: z
    .strictObject({
      startLba: countSchema.describe("The first block of 4096 bytes."),
      endLba: countSchema.describe("The last block of 4096 bytes."),
    })
    .describe("The part of the volume that the run covers, in blocks.")
    .optional(),
  shardLocations: z
    .array(readableLocationSchema)
    .max(48)
    .describe("Where the shards are, for reading: what counts is spec.placements and spec.exceptions.")
    .optional(),
  healthyShards: shardTotal("Shards that are there."),
  healthyDataShards: shardTotal("Data shards that are there."),
  healthyParityShards: shardTotal("Parity shards that are there."),
  lastVerificationTime: timestampSchema.describe("When its shards were last checked.").optional(),
  lastModifiedTime: timestampSchema.describe("When its newest placement was committed.").optional(),
  rebuildProgress: z.int().min(0).max(100).describe("While Rebuilding: how much is done, in percent.").optional(),
  shardHealth: z
    .array(shardHealthSchema)
    .max(48)
    .describe("The shards that are not Healthy; those that are not named are.")
    .optional(),
  conditions: conditionsSchema.optional(),
});
export type EcStripeStatus = z.infer<typeof ecStripeStatusSchema>;

export type EcStripe = Resource<EcStripeSpec, EcStripeStatus>;
export const ecStripeKind: ResourceKind<EcStripeSpec, EcStripeStatus> = {
  kind: "ECStripe",
  plural: "ecstripes",
  shortNames: ["ecs"],
  selectable: ["volumeRef", "volumeUuid"],
  spec: ecStripeSpecSchema,
  status: ecStripeStatusSchema,
};

/** The newest placement in use, or undefined for a run never written. */
export function currentPlacement(spec: EcStripeSpec): Placement | undefined {
  return spec.placements.at(-1);
}

/** The run as agents read it. */
export function runMapOf(spec: EcStripeSpec): z.infer<typeof runMapSchema> {
  const placement = currentPlacement(spec);
  return {
    firstStripe: spec.firstStripe,
    stripeCount: spec.stripeCount,
    code: spec.code,
    generation: spec.generation,
    encodeEpoch: spec.encodeEpoch,
    encodeAct: spec.encodeAct,
    throughSeq: spec.throughSeq,
    placementVersion: placement?.version ?? 0,
    shardLocations: placement?.shardLocations ?? [],
    exceptions: spec.exceptions,
  };
}

/** `vol-0000000128`: the object whose first stripe is 128. By stripe, not by run, so that recovery may split a run. */
export function stripeObjectName(volumeName: string, firstStripe: number): string {
  return `${volumeName}-${String(firstStripe).padStart(10, "0")}`;
}
