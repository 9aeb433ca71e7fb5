/**
 * Migration: one move of one volume between tiers. Each step is written here as an intent before it is taken, so that whoever goes on after
 * a crash finds out by looking what became of it. It outlives its policy, and ends with an outcome.
 */
import { z } from "zod";
import { countSchema, nameSchema, timestampSchema, uuidSchema } from "../api/primitives.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";
import { tierSchema } from "./storage-policy.ts";
import { durationTextSchema } from "./texts.ts";

export const migrationReplicasMax = 16;
export const migrationStepsMax = 256;
const textMax = 1024;
const poolName = z.string().min(1).max(253);

export const migrationReplicaSchema = z.object({
  replicaUuid: z.string().min(1).max(64).describe("The replica to be replaced, as the storage control plane names it."),
  fromPool: poolName.describe("The pool that it is on."),
  fromNode: z.string().max(253).describe("The node of that pool.").optional(),
  toPools: z
    .array(poolName)
    .min(1)
    .max(64)
    .describe("Pools of the target tier that its successor may be placed on, best first."),
});

export const migrationSpecSchema = z
  .object({
    volumeName: z.string().min(1).max(253).describe("The PersistentVolume."),
    volumeUuid: uuidSchema.describe("The volume as the storage control plane names it."),
    policyRef: nameSchema.describe("The StoragePolicy that decided it; none if a person did.").optional(),
    policyUid: z
      .string()
      .max(64)
      .describe("The uid of that policy, which another of its name doesn't have.")
      .optional(),
    mover: z
      .enum(["Mayastor", "ECVolume"])
      .describe("How the data is moved: by Mayastor's replica count, or by rewriting an ECVolume's stripes."),
    fromTier: z.enum(["hot", "warm", "cold", "mixed"]).describe("Where the volume is."),
    toTier: tierSchema.describe("Where it goes."),
    originalReplicaCount: z.int().min(1).max(migrationReplicasMax).describe("Replicas before the migration."),
    finalReplicaCount: z
      .int()
      .min(1)
      .max(migrationReplicasMax)
      .describe("Replicas after it: the same, unless the target pools are redundant themselves."),
    replicas: z
      .array(migrationReplicaSchema)
      .max(migrationReplicasMax)
      .describe("The replicas that move, in this order; those on the target tier already are not among them."),
    ecPolicyRef: nameSchema.describe("The ErasureCodingPolicy whose pools the volume goes to.").optional(),
    sizeBytes: countSchema.describe("Size of the volume when it was decided."),
    triggerIOPS: z.number().min(0).describe("The HeatScore that it was decided on.").optional(),
    reason: z.string().max(textMax).describe("Why, in words."),
    timeout: durationTextSchema
      .describe("It is called off after this time, with the volume left whole.")
      .default("30m"),
    preservationMode: z.boolean().describe("true: the old replicas are kept.").default(false),
    abort: z.boolean().describe("Set to true to call it off; the only field that may change.").default(false),
  })
  .meta({
    "x-kubernetes-validations": [
      {
        rule: "[self.volumeName, self.volumeUuid, self.mover, self.fromTier, self.toTier, self.reason, self.timeout] == [oldSelf.volumeName, oldSelf.volumeUuid, oldSelf.mover, oldSelf.fromTier, oldSelf.toTier, oldSelf.reason, oldSelf.timeout] && self.replicas == oldSelf.replicas && self.originalReplicaCount == oldSelf.originalReplicaCount && self.finalReplicaCount == oldSelf.finalReplicaCount && self.preservationMode == oldSelf.preservationMode && self.sizeBytes == oldSelf.sizeBytes && has(self.policyRef) == has(oldSelf.policyRef) && (!has(self.policyRef) || self.policyRef == oldSelf.policyRef) && has(self.ecPolicyRef) == has(oldSelf.ecPolicyRef) && (!has(self.ecPolicyRef) || self.ecPolicyRef == oldSelf.ecPolicyRef)",
        message:
          "spec: allowed to change is only abort: a migration under way is not another one; abort it and let the policy decide again",
      },
      {
        rule: "!oldSelf.abort || self.abort",
        message: "abort: got false, allowed is true: what has been called off is not taken up again",
        fieldPath: ".abort",
      },
      {
        rule: "self.fromTier != self.toTier",
        message: "toTier: allowed is another tier than fromTier",
        fieldPath: ".toTier",
      },
    ],
  });
export type MigrationSpec = z.infer<typeof migrationSpecSchema>;

export const migrationStepSchema = z.object({
  number: z.int().min(1).max(1_000_000).describe("1, 2, 3 …: in the order they were intended."),
  name: z.string().min(1).max(64).describe("What kind of step, such as AddReplica or WaitForRebuild."),
  state: z
    .enum(["Intended", "Done", "Failed", "Skipped"])
    .describe(
      "Intended: written before it is taken, so it may have been taken or not. Done and Failed: seen afterwards. Skipped: not needed.",
    ),
  intent: z
    .record(z.string().max(63), z.string().max(textMax))
    .describe("What exactly is to be done: enough to find out later whether it was, and to undo it."),
  observed: z
    .record(z.string().max(63), z.string().max(textMax))
    .describe("What was found afterwards, such as the new replica's uuid.")
    .optional(),
  attempts: z.int().min(0).max(1_000_000).describe("How often it was tried.").default(0),
  intendedAt: timestampSchema.describe("When the intent was written."),
  endedAt: timestampSchema.describe("When its end was seen.").optional(),
  error: z.string().max(textMax).describe("Why the latest attempt failed.").optional(),
});
export type MigrationStep = z.infer<typeof migrationStepSchema>;

export const migrationOutcomeSchema = z.object({
  result: z
    .enum(["Succeeded", "Failed", "Aborted", "TimedOut", "Superseded"])
    .describe(
      "Succeeded: the volume is on its tier. Otherwise it has at least the healthy copies that it had. Superseded: the volume or its policy changed so that the move made no sense any more.",
    ),
  reason: z.string().min(1).max(64).describe("One word, such as RebuildFailed or NoSpareNode."),
  message: z.string().max(textMax).describe("What happened and what to do, in words."),
});

export const migrationMovers = ["PoolCordon", "NodeCordon", "LabelSteering"] as const;

export const migrationBaselineSchema = z.object({
  replicas: z
    .array(
      z.object({
        replicaUuid: z.string().min(1).max(64).describe("The replica, as the storage control plane names it."),
        pool: poolName.describe("The pool it was on."),
      }),
    )
    .max(migrationReplicasMax)
    .describe("The replicas before the first step."),
  requiredCopies: z
    .int()
    .min(1)
    .max(1024)
    .describe(
      "Healthy copies below which the migration never brings the volume; one on an erasure-coded pool may be several.",
    ),
  mover: z.enum(migrationMovers).describe("How new and leaving replicas are steered."),
  order: z
    .enum(["GrowFirst", "ShrinkFirst"])
    .describe(
      "ShrinkFirst: for lack of a spare node, and only if allowed, a replica leaves before its successor comes.",
    ),
});
export type MigrationBaseline = z.infer<typeof migrationBaselineSchema>;

export const migrationStatusSchema = z.object({
  phase: z
    .enum(["Pending", "Preparing", "Copying", "Switching", "Verifying", "RollingBack", "Finished"])
    .describe(
      "Pending: waits for its turn. Preparing: checks and steering. Copying: the new replica is being filled. Switching: the old one leaves. Verifying. RollingBack: called off or failed. Finished: see outcome.",
    ),
  observedGeneration: countSchema.describe("The generation of the spec that this status speaks of.").optional(),
  steps: z
    .array(migrationStepSchema)
    .max(migrationStepsMax)
    .describe("The journal: each step's intent is written before the step is taken."),
  heldSteering: z
    .array(
      z.object({
        kind: z.enum(["PoolCordon", "NodeCordon", "PoolLabel"]).describe("What was set."),
        target: poolName.describe("The pool or node it was set on."),
        detail: z
          .string()
          .max(textMax)
          .describe("What is needed to take back exactly this, such as the cordon's label."),
        state: z
          .enum(["Intended", "Set"])
          .describe("Intended: written before it is set, so it may be set or not. Set: seen to be."),
      }),
    )
    .max(256)
    .describe("Cordons and labels of ours that are set, or may be: all of them are taken back before the end.")
    .optional(),
  baseline: migrationBaselineSchema
    .describe("What was found before the first step, and how it goes on from there.")
    .optional(),
  expectedReplicaCount: z
    .int()
    .min(0)
    .max(255)
    .describe(
      "How many replicas the volume has after what is known to be done. Another number is somebody else's doing.",
    )
    .optional(),
  failures: countSchema.describe("Rounds that came to nothing, such as a new replica on a wrong pool.").optional(),
  elapsedSeconds: countSchema
    .describe("How long it has been at work, by clocks that never jump; times without a brain don't count.")
    .optional(),
  ending: migrationOutcomeSchema
    .describe("How it will have ended, once everything of its own has been taken back.")
    .optional(),
  message: z.string().max(textMax).describe("What it does or waits for, in words.").optional(),
  stepsDropped: countSchema.describe("Ended steps that were taken out to make room; numbers go on.").optional(),
  bytesTotal: countSchema.describe("Bytes to be copied, as far as known.").optional(),
  bytesDone: countSchema.describe("Bytes copied so far.").optional(),
  progressPercent: z.int().min(0).max(100).describe("How much of the copying is done.").optional(),
  estimatedEndTime: timestampSchema.describe("When it should end, judged by its pace.").optional(),
  startTime: timestampSchema.describe("When it left Pending.").optional(),
  endTime: timestampSchema.describe("When it was Finished.").optional(),
  outcome: migrationOutcomeSchema.describe("How it ended; absent while it has not.").optional(),
  conditions: conditionsSchema.optional(),
});
export type HeldSteering = NonNullable<z.infer<typeof migrationStatusSchema>["heldSteering"]>[number];
export type MigrationOutcome = z.infer<typeof migrationOutcomeSchema>;
export type MigrationStatus = z.infer<typeof migrationStatusSchema>;

export type Migration = Resource<MigrationSpec, MigrationStatus>;
export const migrationKind: ResourceKind<MigrationSpec, MigrationStatus> = {
  kind: "Migration",
  plural: "migrations",
  shortNames: ["mig"],
  spec: migrationSpecSchema as unknown as z.ZodType<MigrationSpec>,
  status: migrationStatusSchema as unknown as z.ZodType<MigrationStatus>,
};
