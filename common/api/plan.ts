/**
 * What tiering has decided, as the command line shows it: `GET /v1/plan?policy=&volume=&limit=`.
 * `volume` is the PersistentVolume's name, its uuid, or its claim as `namespace/name`.
 */
import { z } from "zod";
import { tierSchema } from "../crd/storage-policy.ts";
import { countSchema, timestampSchema } from "./primitives.ts";

export const planEntriesMax = 100_000;

export const planQuerySchema = z.strictObject({
  policy: z.string().max(253).optional(),
  volume: z.string().max(512).optional(),
  /** Entries at most, those that move first. */
  limit: z.coerce.number().int().min(1).max(planEntriesMax).default(10_000),
});
export type PlanQuery = z.infer<typeof planQuerySchema>;

export const planHeatSchema = z.union([
  z.strictObject({
    known: z.literal(true),
    iops: z.number().min(0),
    samples: countSchema,
    source: z.string(),
    ageMs: z.number().min(0),
  }),
  z.strictObject({ known: z.literal(false), reason: z.string(), message: z.string() }),
]);

export const planEntrySchema = z.strictObject({
  volume: z.string(),
  volumeUuid: z.string(),
  claim: z.string(),
  policy: z.string(),
  sizeBytes: countSchema,
  tier: z.enum(["hot", "warm", "cold", "mixed", "none", "unknown"]),
  heat: planHeatSchema,
  /** Absent when the volume stays where it is, or that can't be told. */
  target: tierSchema.optional(),
  action: z.enum(["move", "moving", "wait", "refuse", "stay"]),
  reason: z.string(),
  message: z.string(),
  moves: z.array(
    z.strictObject({
      replicaUuid: z.string(),
      fromPool: z.string(),
      fromNode: z.string(),
      toPool: z.string(),
      toNode: z.string(),
      freeBytesAfter: z.number(),
    }),
  ),
  dryRun: z.boolean(),
  /** Not before this time, when it waits for the end of its cooldown. */
  notBefore: timestampSchema.optional(),
});
export type PlanEntryView = z.infer<typeof planEntrySchema>;

export const planPolicySchema = z.strictObject({
  name: z.string(),
  enabled: z.boolean(),
  dryRun: z.boolean(),
  problems: z.array(z.string()),
  watched: countSchema,
  hot: countSchema,
  warm: countSchema,
  cold: countSchema,
  mixed: countSchema,
  unknown: countSchema,
  activeMigrations: countSchema,
});

export const planAnswerSchema = z.strictObject({
  takenAt: timestampSchema,
  policies: z.array(planPolicySchema),
  entries: z.array(planEntrySchema),
  /** How many entries there are; more than are listed when the limit cut them off. */
  total: countSchema,
  /** What did not answer, or was not understood. */
  warnings: z.array(z.string()),
});
export type PlanAnswer = z.infer<typeof planAnswerSchema>;
