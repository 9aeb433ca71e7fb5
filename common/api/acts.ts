/**
 * Acts: what the owner of a volume (here the brain, as maintenance owner) lends to a mover (an agent).
 *
 *   owner → mover  POST {agent}/v1/acts               `actTaskSchema`, answered 202; the same act again is answered 200 and changes nothing
 *   owner → mover  DELETE {agent}/v1/acts/{actKey}     stop it; an unknown one is 404
 *   mover → owner  POST {brain}/v1/acts/done           `actDoneSchema` → `actDoneAnswerSchema`; repeated until answered
 *   mover → owner  progress rides on the heartbeat (`common/api/nodes.ts`); an act missing from a heartbeat of its mover is lost
 *   admin → mover  PUT {agent admin}/v1/acts/{actKey}/data   the bytes of an `encode` act, exactly `contentBytes` long
 */
import { z } from "zod";
import { codeSchema } from "../code/code.ts";
import { nodeAddressSchema, runMapSchema, shardLocationSchema, volumeDescriptorSchema } from "./maps.ts";
import {
  actNoSchema,
  countSchema,
  epochSchema,
  generationSchema,
  nameSchema,
  shardIndexSchema,
  u32Schema,
  uuidSchema,
} from "./primitives.ts";

export const actIdSchema = z.strictObject({ volumeUuid: uuidSchema, epoch: epochSchema, actNo: actNoSchema });
export type ActId = z.infer<typeof actIdSchema>;

/** The act as one path segment: `{volumeUuid}.{epoch}.{actNo}`. */
export function actKey(act: ActId): string {
  return `${act.volumeUuid}.${act.epoch}.${act.actNo}`;
}

const taskBase = {
  act: actIdSchema,
  volume: volumeDescriptorSchema,
  nodes: z.array(nodeAddressSchema),
  /** Limit on what the mover reads plus writes; absent: no limit. */
  bytesPerSecondMax: countSchema.optional(),
};

/** Encode bytes that a client sends into the stripes of one run. The put act of every chunk is this act. */
export const encodeTaskSchema = z.strictObject({
  kind: z.literal("encode"),
  ...taskBase,
  code: codeSchema,
  firstStripe: countSchema,
  stripeCount: u32Schema,
  contentBytes: countSchema,
  generation: generationSchema,
  throughSeq: countSchema,
  placementVersion: u32Schema,
  targets: z.array(shardLocationSchema).max(48),
});
export type EncodeTask = z.infer<typeof encodeTaskSchema>;

/** Put shards again, decoded from the others, with this act as their put act: same generation, encode act and throughSeq [P2]. */
export const rebuildTaskSchema = z.strictObject({
  kind: z.literal("rebuild"),
  ...taskBase,
  run: runMapSchema,
  placementVersion: u32Schema,
  /** Where the rebuilt shards go (`putEpoch`/`putAct` are this act's). */
  targets: z.array(shardLocationSchema).min(1).max(48),
  /** Single chunks of a scrub repair; absent: every stripe of the run for each target's shard. */
  only: z
    .array(z.strictObject({ stripe: countSchema, shardIndex: shardIndexSchema }))
    .max(256)
    .optional(),
});
export type RebuildTask = z.infer<typeof rebuildTaskSchema>;

/** Check every chunk of the run where it is; `deep` also reads all shards, encodes parity again and compares. Changes nothing. */
export const scrubTaskSchema = z.strictObject({
  kind: z.literal("scrub"),
  ...taskBase,
  run: runMapSchema,
  deep: z.boolean(),
});
export type ScrubTask = z.infer<typeof scrubTaskSchema>;

export const actTaskSchema = z.discriminatedUnion("kind", [encodeTaskSchema, rebuildTaskSchema, scrubTaskSchema]);
export type ActTask = z.infer<typeof actTaskSchema>;

/** `mismatch`: each chunk verifies, but the parity is not the one of the data, or the shards are not of one encoding. `unreachable`: its agent did not answer. */
export const findingStateSchema = z.enum(["absent", "corrupt", "mismatch", "unreachable", "error"]);
export const findingSchema = z.strictObject({
  stripe: countSchema,
  shardIndex: shardIndexSchema,
  poolUuid: uuidSchema,
  nodeName: nameSchema,
  state: findingStateSchema,
});
export type Finding = z.infer<typeof findingSchema>;
export const findingsPerActMax = 4096;

export const actCountsSchema = z.strictObject({
  stripes: countSchema,
  chunksRead: countSchema,
  chunksPut: countSchema,
  bytesRead: countSchema,
  bytesWritten: countSchema,
});
export type ActCounts = z.infer<typeof actCountsSchema>;

export const actDoneSchema = z.strictObject({
  act: actIdSchema,
  nodeName: nameSchema,
  instanceUuid: uuidSchema,
  kind: z.enum(["encode", "rebuild", "scrub"]),
  outcome: z.enum(["done", "failed"]),
  counts: actCountsSchema,
  /** encode: sha256 (hex) of the run's content. */
  contentSha256: z.string().optional(),
  /** scrub. `findingsTruncated` when there were more than `findingsPerActMax`. */
  findings: z.array(findingSchema).max(findingsPerActMax).optional(),
  findingsTruncated: z.boolean().optional(),
  /** Which codec encoded or checked, for example `isa-l 2.31.1`. */
  codec: z.string(),
  error: z.strictObject({ code: z.string(), message: z.string(), data: z.record(z.string(), z.unknown()) }).optional(),
});
export type ActDone = z.infer<typeof actDoneSchema>;

/** `committed`: the new version is the stripe's. `dropped`: the act no longer counted; the owner deletes its chunks by name. */
export const actDoneAnswerSchema = z.strictObject({
  result: z.enum(["committed", "dropped", "noted"]),
  reason: z.string().optional(),
});
export type ActDoneAnswer = z.infer<typeof actDoneAnswerSchema>;

export const actProgressSchema = z.strictObject({
  act: actIdSchema,
  stripesDone: countSchema,
  stripesTotal: countSchema,
  bytesMoved: countSchema,
});
export type ActProgress = z.infer<typeof actProgressSchema>;
