/** ErasureCodingPolicy: a code with its journal and scrubbing, by name. The code of a policy never changes: volumes were encoded with it. */
import { z } from "zod";
import { countSchema, timestampSchema } from "../api/primitives.ts";
import { type Code, dataShardsMax, parityShardsMax } from "../code/code.ts";
import { stripeSizeBytesMax, stripeSizeBytesMin } from "./ec-volume.ts";
import { conditionsSchema, type Resource, type ResourceKind } from "./object.ts";
import { durationTextSchema } from "./texts.ts";

export const journalConfigDefaults = {
  journalSizeBytes: 10_737_418_240,
  replicationFactor: 3,
  destageThresholdPercent: 80,
  destageInterval: "30s",
};

const journalConfigSchema = z.object({
  journalSizeBytes: z
    .int()
    .min(64 * 1024 * 1024)
    .max(2 ** 44)
    .describe("Size of each replica of a volume's journal, in bytes.")
    .default(journalConfigDefaults.journalSizeBytes),
  replicationFactor: z
    .int()
    .min(1)
    .max(7)
    .describe("Replicas of the journal; a write is acknowledged when a majority has it.")
    .default(journalConfigDefaults.replicationFactor),
  destageThresholdPercent: z
    .int()
    .min(1)
    .max(99)
    .describe("How full a journal may get before its stripes are encoded at once.")
    .default(journalConfigDefaults.destageThresholdPercent),
  destageInterval: durationTextSchema
    .describe("A changed stripe is encoded after at most this time (1s to 1d).")
    .default(journalConfigDefaults.destageInterval),
});

/** A rule that names its field, what came and what is allowed. */
const rule = (field: string, condition: string, allowed: string, got?: string) => ({
  rule: condition,
  message: `${field}: allowed is ${allowed}`,
  ...(got === undefined ? {} : { messageExpression: `'${field}: got %s, allowed is ${allowed}'.format([${got}])` }),
  fieldPath: `.${field}`,
});

const unchanging = (field: string) =>
  rule(
    field,
    `self.${field} == oldSelf.${field}`,
    "only what it was: volumes are encoded with it; make another policy",
    `self.${field}`,
  );

export const erasureCodingPolicySpecSchema = z
  .object({
    dataShards: z.int().min(1).max(dataShardsMax).describe("Shards that hold data (k).").default(4),
    parityShards: z
      .int()
      .min(1)
      .max(parityShardsMax)
      .describe("Shards that hold parity (m), local ones included.")
      .default(2),
    stripeSizeBytes: z
      .int()
      .min(stripeSizeBytesMin)
      .max(stripeSizeBytesMax)
      .multipleOf(4096)
      .describe("Bytes of a volume that are encoded together: a multiple of 4096, at least 4096 for each data shard.")
      .default(1_048_576),
    algorithm: z
      .enum(["ReedSolomon", "LRC"])
      .describe(
        "ReedSolomon: any m shards may be lost. LRC: a single lost shard is rebuilt from its local group alone.",
      )
      .default("ReedSolomon"),
    localGroups: z
      .int()
      .min(1)
      .max(parityShardsMax - 1)
      .describe(
        "LRC only, and required there: local groups, each with a parity shard of its own; parityShards − localGroups are global.",
      )
      .optional(),
    journalConfig: journalConfigSchema.describe("The write-ahead log of live volumes.").default(journalConfigDefaults),
    minHealthyShards: z
      .int()
      .min(1)
      .max(dataShardsMax + parityShardsMax)
      .describe(
        "Shards that must be written before a stripe is committed: dataShards to dataShards + parityShards. Default: dataShards + 1.",
      )
      .optional(),
    scrubbingEnabled: z.boolean().describe("Whether stripes are read and checked regularly.").default(false),
    scrubInterval: durationTextSchema.describe("Every stripe is checked once in this time (1h to 365d).").default("7d"),
  })
  .meta({
    "x-kubernetes-validations": [
      rule(
        "stripeSizeBytes",
        "self.stripeSizeBytes >= self.dataShards * 4096",
        "at least 4096 for each data shard",
        "self.stripeSizeBytes",
      ),
      rule(
        "localGroups",
        "self.algorithm != 'LRC' || has(self.localGroups)",
        "1 to 15, and it is required with algorithm LRC",
      ),
      rule("localGroups", "self.algorithm == 'LRC' || !has(self.localGroups)", "nothing with algorithm ReedSolomon"),
      rule(
        "localGroups",
        "!has(self.localGroups) || self.localGroups < self.parityShards",
        "less than parityShards, so that at least one parity shard is global",
        "self.localGroups",
      ),
      rule(
        "localGroups",
        "!has(self.localGroups) || self.dataShards % self.localGroups == 0",
        "a divisor of dataShards",
        "self.localGroups",
      ),
      rule(
        "minHealthyShards",
        "!has(self.minHealthyShards) || (self.minHealthyShards >= self.dataShards && self.minHealthyShards <= self.dataShards + self.parityShards)",
        "dataShards to dataShards + parityShards",
        "self.minHealthyShards",
      ),
      ...["dataShards", "parityShards", "stripeSizeBytes", "algorithm"].map(unchanging),
      rule(
        "localGroups",
        "has(self.localGroups) == has(oldSelf.localGroups) && (!has(self.localGroups) || self.localGroups == oldSelf.localGroups)",
        "only what it was: volumes are encoded with it; make another policy",
      ),
    ],
  });
export type ErasureCodingPolicySpec = z.infer<typeof erasureCodingPolicySpecSchema>;

export const erasureCodingPolicyStatusSchema = z.object({
  phase: z
    .enum(["Pending", "Ready", "Invalid", "Active"])
    .describe(
      "Pending: not looked at yet. Ready: valid, no volume uses it. Active: volumes use it. Invalid: see message.",
    ),
  observedGeneration: countSchema.describe("The generation of the spec that this status speaks of.").optional(),
  activeVolumes: countSchema.describe("Volumes encoded by this policy.").optional(),
  totalStripes: countSchema.describe("ECStripe objects of these volumes.").optional(),
  healthyStripes: countSchema.describe("Those with all shards.").optional(),
  degradedStripes: countSchema.describe("Those that lack shards, unreadable ones included.").optional(),
  rebuildingStripes: countSchema.describe("Those whose shards are being rebuilt.").optional(),
  storageEfficiency: z
    .number()
    .min(0)
    .max(1)
    .describe("Share of the stored bytes that is data: dataShards / (dataShards + parityShards).")
    .optional(),
  lastValidationTime: timestampSchema.describe("When the spec was last checked.").optional(),
  message: z
    .string()
    .max(4096)
    .describe("What a person should know: why it is Invalid, or what it is good for.")
    .optional(),
  conditions: conditionsSchema.optional(),
});
export type ErasureCodingPolicyStatus = z.infer<typeof erasureCodingPolicyStatusSchema>;

export type ErasureCodingPolicy = Resource<ErasureCodingPolicySpec, ErasureCodingPolicyStatus>;
export const erasureCodingPolicyKind: ResourceKind<ErasureCodingPolicySpec, ErasureCodingPolicyStatus> = {
  kind: "ErasureCodingPolicy",
  plural: "erasurecodingpolicies",
  shortNames: ["ecp"],
  spec: erasureCodingPolicySpecSchema as unknown as z.ZodType<ErasureCodingPolicySpec>,
  status: erasureCodingPolicyStatusSchema,
};

/** The code that a valid policy stands for. */
export function codeOfPolicy(spec: ErasureCodingPolicySpec): Code {
  const { dataShards: k, parityShards: m, localGroups } = spec;
  return spec.algorithm === "LRC" && localGroups !== undefined
    ? { family: "lrc", k, l: localGroups, g: m - localGroups }
    : { family: "rs", k, m };
}

/** How many shards a stripe needs before it may be committed. */
export function minHealthyShardsOf(spec: ErasureCodingPolicySpec): number {
  return spec.minHealthyShards ?? spec.dataShards + 1;
}
