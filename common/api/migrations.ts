/** Migrations as the command line shows them: `GET /v1/migrations`, `GET /v1/migrations/NAME`, `POST /v1/migrations/NAME/abort`. */
import { z } from "zod";
import { migrationSpecSchema, migrationStatusSchema } from "../crd/migration.ts";
import { metadataSchema } from "../crd/object.ts";
import { tierSchema } from "../crd/storage-policy.ts";
import { countSchema, timestampSchema } from "./primitives.ts";

export const migrationsListedMax = 10_000;

export const migrationsQuerySchema = z.strictObject({
  policy: z.string().max(253).optional(),
  /** The PersistentVolume's name or its uuid. */
  volume: z.string().max(253).optional(),
  /** Only those under way. */
  active: z.enum(["true", "false"]).default("false"),
  limit: z.coerce.number().int().min(1).max(migrationsListedMax).default(1_000),
});
export type MigrationsQuery = z.infer<typeof migrationsQuerySchema>;

export const migrationRowSchema = z.strictObject({
  name: z.string(),
  volume: z.string(),
  /** Absent for one that a person made. */
  policy: z.string().optional(),
  fromTier: z.enum(["hot", "warm", "cold", "mixed"]),
  toTier: tierSchema,
  phase: z.string(),
  result: z.string().optional(),
  reason: z.string().optional(),
  progressPercent: z.int().min(0).max(100).optional(),
  bytesTotal: countSchema.optional(),
  bytesDone: countSchema.optional(),
  createdAt: timestampSchema.optional(),
  startedAt: timestampSchema.optional(),
  endedAt: timestampSchema.optional(),
  estimatedEndAt: timestampSchema.optional(),
  message: z.string(),
});
export type MigrationRow = z.infer<typeof migrationRowSchema>;

export const migrationsAnswerSchema = z.strictObject({
  /** Those under way first, then the newest. */
  migrations: z.array(migrationRowSchema),
  total: countSchema,
  /** Of objects that can't be read, because somebody or another version wrote them: what is wrong with each; the first of them. */
  unreadable: z.array(z.string()).optional(),
});
export type MigrationsAnswer = z.infer<typeof migrationsAnswerSchema>;

export const migrationAnswerSchema = z.strictObject({
  row: migrationRowSchema,
  metadata: metadataSchema,
  spec: migrationSpecSchema,
  status: migrationStatusSchema.optional(),
});
export type MigrationAnswer = z.infer<typeof migrationAnswerSchema>;

export const abortRequestSchema = z.strictObject({
  /** Says what would happen, and changes nothing. */
  dryRun: z.boolean().default(false),
});
