/** StoragePolicy: which volumes are watched, when they count as hot, warm or cold, and which pools those tiers are. */
import { z } from "zod";
import { countSchema, nameSchema, timestampSchema } from "../api/primitives.ts";
import { labelSelectorSchema } from "./label-selector.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";
import { durationTextSchema } from "./texts.ts";

export const iopsMax = 1_000_000_000;
export const migrationHistoryMax = 50;
/** Migrations that are removed at a time. */
export const removedNamesMax = 50;

export const tierSchema = z.enum(["hot", "warm", "cold"]);
export type Tier = z.infer<typeof tierSchema>;

const watermark = (min: number) => z.int().min(min).max(iopsMax);

const poolSelector = (tier: string, instead: string) =>
  labelSelectorSchema.describe(
    `Selects the pools of the ${tier} tier by their labels as the storage control plane reports them. ${instead}`,
  );

export const scheduleSchema = z.object({
  cron: z
    .string()
    .min(9)
    .max(100)
    .describe("When the window opens: minute, hour, day of month, month, day of week, such as 0 1 * * *."),
  duration: durationTextSchema.describe("For how long it stays open, such as 5h (1m to 7d)."),
  timeZone: z.string().min(1).max(64).describe("Of the hours above, such as Europe/Vienna.").default("UTC"),
});
export type MigrationSchedule = z.infer<typeof scheduleSchema>;

export const storagePolicySpecSchema = z
  .object({
    highWatermarkIOPS: watermark(1).describe("A volume with at least this HeatScore is hot.").default(5000),
    warmWatermarkIOPS: watermark(0)
      .describe(
        "A volume between this and highWatermarkIOPS is warm; between lowWatermarkIOPS and this it stays where it is. 0: two tiers only, and no action between low and high.",
      )
      .default(2000),
    lowWatermarkIOPS: watermark(0).describe("A volume with at most this HeatScore is cold.").default(500),
    samplingWindow: durationTextSchema
      .describe(
        "The window of the HeatScore, such as 30m or 1h (1m to 30d). At least four scrapes of the exporter must fit.",
      )
      .default("1h"),
    cooldownPeriod: durationTextSchema
      .describe("How long a volume stays where it is after a migration (0s to 365d).")
      .default("24h"),
    storageClassName: z
      .string()
      .min(1)
      .max(253)
      .describe("Volumes of this StorageClass are watched.")
      .default("mayastor"),
    hotPoolSelector: poolSelector("hot", "Without one nothing is moved there.").optional(),
    warmPoolSelector: poolSelector("warm", "Without one nothing is moved there.").optional(),
    coldPoolSelector: poolSelector("cold", "Without one nothing is moved there.").optional(),
    nvmePoolSelector: poolSelector("hot", "Deprecated: use hotPoolSelector, which wins if both are set.").optional(),
    sataPoolSelector: poolSelector("cold", "Deprecated: use coldPoolSelector, which wins if both are set.").optional(),
    volumeSelector: labelSelectorSchema
      .describe("Selects volumes by the labels of their PersistentVolumeClaims. Without one: all of the StorageClass.")
      .optional(),
    maxConcurrentMigrations: z
      .int()
      .min(1)
      .max(100)
      .describe("Migrations of this policy at once; the operator's own limit holds too.")
      .default(2),
    migrationTimeout: durationTextSchema
      .describe(
        "A migration that takes longer is called off, with the volume left whole (1m to 7d). Without it: as the operator is told, 30m by default.",
      )
      .optional(),
    maxBytesPerSecond: z
      .int()
      .min(1024 * 1024)
      .max(2 ** 50)
      .describe(
        "A migration begins when those before it would be through at this rate. A rebuild itself can't be slowed down. Without it: no limit but the operator's own.",
      )
      .optional(),
    schedule: scheduleSchema
      .describe("When migrations may begin; those under way go on to their end. Without it: at any time.")
      .optional(),
    pauseAfterFailures: z
      .int()
      .min(0)
      .max(100)
      .describe(
        "So many migrations of this policy that fail one after the other pause it, until its spec changes or somebody resumes it (see the condition MigrationsAllowed). 0: never.",
      )
      .default(3),
    enabled: z.boolean().describe("false: volumes are not even watched.").default(true),
    dryRun: z.boolean().describe("true: decisions are shown in status and logs, and nothing is moved.").default(false),
    preservationMode: z
      .boolean()
      .describe("true: replicas are added on the target tier and the old ones are kept.")
      .default(false),
    ecPolicyRef: nameSchema
      .describe(
        "Name of the ErasureCodingPolicy whose volumes the cold pools stand on; such pools are cold targets of their own kind.",
      )
      .optional(),
    ecMinVolumeSizeBytes: countSchema
      .describe("Smaller volumes are not moved onto erasure-coded pools.")
      .default(10_737_418_240),
  })
  .meta({
    "x-kubernetes-validations": [
      {
        rule: "self.lowWatermarkIOPS < self.highWatermarkIOPS",
        message: "lowWatermarkIOPS: allowed is less than highWatermarkIOPS",
        messageExpression:
          "'lowWatermarkIOPS: got %d, allowed is less than highWatermarkIOPS (%d)'.format([self.lowWatermarkIOPS, self.highWatermarkIOPS])",
        fieldPath: ".lowWatermarkIOPS",
      },
      {
        rule: "self.warmWatermarkIOPS == 0 || (self.lowWatermarkIOPS < self.warmWatermarkIOPS && self.warmWatermarkIOPS < self.highWatermarkIOPS)",
        message:
          "warmWatermarkIOPS: allowed is 0 (two tiers), or more than lowWatermarkIOPS and less than highWatermarkIOPS",
        messageExpression:
          "'warmWatermarkIOPS: got %d, allowed is 0 (two tiers), or more than lowWatermarkIOPS (%d) and less than highWatermarkIOPS (%d)'.format([self.warmWatermarkIOPS, self.lowWatermarkIOPS, self.highWatermarkIOPS])",
        fieldPath: ".warmWatermarkIOPS",
      },
    ],
  });
export type StoragePolicySpec = z.infer<typeof storagePolicySpecSchema>;

export const migrationRecordSchema = z.object({
  volumeName: z.string().max(253).describe("The PersistentVolume."),
  timestamp: timestampSchema.describe("When the migration ended."),
  fromTier: z.enum(["hot", "warm", "cold", "mixed"]).describe("The tier it left."),
  toTier: tierSchema.describe("The tier it went to."),
  triggerIOPS: z.number().min(0).describe("The HeatScore that the decision was made on."),
  duration: z.string().max(64).describe("How long it took, such as 12m30s."),
  migration: z.string().max(253).describe("The Migration object, which has its steps.").optional(),
  success: z.boolean().describe("Whether the volume is on the tier it was to go to."),
  error: z.string().max(1024).describe("Why it failed.").optional(),
});
export type MigrationRecord = z.infer<typeof migrationRecordSchema>;

const volumes = (which: string) => countSchema.describe(`Watched volumes ${which}.`).optional();

export const storagePolicyStatusSchema = z.object({
  phase: z
    .enum(["Pending", "Active", "Disabled", "Error"])
    .describe("Pending: not looked at yet. Active. Disabled: spec.enabled is false. Error: see conditions."),
  observedGeneration: countSchema.describe("The generation of the spec that this status speaks of.").optional(),
  watchedVolumes: countSchema.describe("Volumes that the policy watches.").optional(),
  hotVolumes: volumes("with all replicas on hot pools"),
  warmVolumes: volumes("with all replicas on warm pools"),
  coldVolumes: volumes("with all replicas on cold pools"),
  mixedVolumes: volumes("whose replicas are on pools of several tiers"),
  unknownVolumes: volumes("whose tier or HeatScore is not known"),
  activeMigrations: countSchema.describe("Migrations under way.").optional(),
  totalMigrations: countSchema.describe("Migrations that have ended since the policy was created.").optional(),
  failedMigrations: countSchema.describe("Those of them that failed.").optional(),
  removedMigrations: z
    .object({
      total: countSchema.describe("How many."),
      failed: countSchema.describe("Those of them that failed."),
      names: z
        .array(z.string().max(253))
        .max(removedNamesMax)
        .describe("The latest of them, which are counted here whether they are gone already or not."),
    })
    .describe("Old Migration objects that the brain has removed, or is about to; they go on being counted.")
    .optional(),
  lastReconcileTime: timestampSchema.describe("When this status last changed.").optional(),
  migrationHistory: z
    .array(migrationRecordSchema)
    .max(migrationHistoryMax)
    .describe("The latest migrations, newest first.")
    .optional(),
  plannedMoves: z
    .array(
      z.object({
        volumeName: z.string().max(253).describe("The PersistentVolume."),
        fromTier: z.enum(["hot", "warm", "cold", "mixed"]).describe("Where its replicas are."),
        toTier: tierSchema.describe("Where they would go."),
        iops: z.number().min(0).describe("Its HeatScore."),
        reason: z.string().max(1024).describe("Why."),
      }),
    )
    .max(migrationHistoryMax)
    .describe("With dryRun: the first moves that would be made, hottest decisions first.")
    .optional(),
  conditions: conditionsSchema.optional(),
});
export type StoragePolicyStatus = z.infer<typeof storagePolicyStatusSchema>;

export type StoragePolicy = Resource<StoragePolicySpec, StoragePolicyStatus>;
export const storagePolicyKind: ResourceKind<StoragePolicySpec, StoragePolicyStatus> = {
  kind: "StoragePolicy",
  plural: "storagepolicies",
  shortNames: ["sp", "spolicy"],
  spec: storagePolicySpecSchema as unknown as z.ZodType<StoragePolicySpec>,
  status: storagePolicyStatusSchema,
};

/** The pool selectors by tier, deprecated names taken into account. */
export function poolSelectorsOf(spec: StoragePolicySpec) {
  return {
    hot: spec.hotPoolSelector ?? spec.nvmePoolSelector,
    warm: spec.warmPoolSelector,
    cold: spec.coldPoolSelector ?? spec.sataPoolSelector,
  };
}
