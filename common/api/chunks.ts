/**
 * Names of chunks and the chunk part of the agent's cluster API.
 *
 * Routes (all below the agent's cluster listener):
 *   PUT  /v1/pools/{poolUuid}/chunks                body: chunk image (header with CRC table, then data) → `putAnswerSchema`
 *   GET  /v1/pools/{poolUuid}/chunks/{volumeUuid}/{stripe}/{shardIndex}/{generation}/{encodeEpoch}/{encodeAct}?firstBlock=&blockCount=
 *                                                   → body: one u32 LE CRC32C per block, then the blocks (`application/vnd.couchestor.blocks`)
 *   POST /v1/pools/{poolUuid}/chunks/verify         `verifyRequestSchema` → `verifyAnswerSchema`
 *   POST /v1/pools/{poolUuid}/chunks/delete         `deleteRequestSchema` → `deleteAnswerSchema`
 *   GET  /v1/pools/{poolUuid}/chunks?after=&limit=&verify=   → `listAnswerSchema`
 */
import { z } from "zod";
import { codeSchema } from "../code/code.ts";
import {
  actNoSchema,
  countSchema,
  epochSchema,
  generationSchema,
  shardIndexSchema,
  u32Schema,
  uuidSchema,
} from "./primitives.ts";

/** What a reader knows of a chunk: any copy of this shard of this encoding holds the same bytes. */
export const chunkKeySchema = z.strictObject({
  volumeUuid: uuidSchema,
  stripe: countSchema,
  shardIndex: shardIndexSchema,
  generation: generationSchema,
  encodeEpoch: epochSchema,
  encodeAct: actNoSchema,
});
export type ChunkKey = z.infer<typeof chunkKeySchema>;

/** The full name of one stored copy. Used once; DELETE takes nothing less. */
export const chunkNameSchema = chunkKeySchema.extend({ putEpoch: epochSchema, putAct: actNoSchema });
export type ChunkName = z.infer<typeof chunkNameSchema>;

/** All that a chunk says of itself, as in its header. */
export const chunkInfoSchema = chunkNameSchema.extend({
  clusterUuid: uuidSchema,
  journalId: uuidSchema,
  poolUuid: uuidSchema,
  originVolumeUuid: uuidSchema,
  throughSeq: countSchema,
  placementVersion: u32Schema,
  code: codeSchema,
  matrixId: u32Schema,
  /** Bytes of the volume in this stripe (less than the policy's for the last one). */
  stripeBytes: u32Schema,
  shardBytes: u32Schema,
  storedBytes: u32Schema,
  /** CRC32C over the CRC tables of all shards of the stripe in shard order (each table as u32 LE). */
  stripeDigest: u32Schema,
  /** CRC32C of this chunk's own CRC table. */
  tableCrc: u32Schema,
  /** Advisory, as of the act: lets a volume be rebuilt with its name and size from the disks alone. */
  volumeName: z.string().max(63),
  volumeSizeBytes: countSchema,
  stripesPerRun: u32Schema,
  policyStripeBytes: u32Schema,
});
export type ChunkInfo = z.infer<typeof chunkInfoSchema>;

export const chunksPerRequestMax = 1024;

export const putAnswerSchema = z.strictObject({ tableCrc: u32Schema, alreadyThere: z.boolean() });
export type PutAnswer = z.infer<typeof putAnswerSchema>;

/** A full name means that very copy; a key alone any intact one. */
export const verifyRequestSchema = z.strictObject({
  names: z.array(z.union([chunkNameSchema, chunkKeySchema])).max(chunksPerRequestMax),
});
/** `absent`: not here. `corrupt`: here, but at least one block or its header does not verify. `error`: the device failed. */
export const chunkStateSchema = z.enum(["ok", "absent", "corrupt", "error"]);
export const verifyAnswerSchema = z.strictObject({
  /** In the order of the request. `info` is there when the header could be read. */
  results: z.array(z.strictObject({ state: chunkStateSchema, info: chunkInfoSchema.optional() })),
});
export type VerifyAnswer = z.infer<typeof verifyAnswerSchema>;

export const deleteRequestSchema = z.strictObject({
  /** The act that ordered it: only the owner of the volume deletes [X4]. */
  orderedBy: z.strictObject({ epoch: epochSchema, actNo: actNoSchema }),
  reason: z.enum(["superseded", "act-dropped", "garbage", "volume-deleted"]),
  names: z.array(chunkNameSchema).max(chunksPerRequestMax),
});
export type DeleteRequest = z.infer<typeof deleteRequestSchema>;
export const deleteAnswerSchema = z.strictObject({ deleted: countSchema, absent: countSchema });
export type DeleteAnswer = z.infer<typeof deleteAnswerSchema>;

export const listAnswerSchema = z.strictObject({
  chunks: z.array(z.strictObject({ info: chunkInfoSchema, state: chunkStateSchema.optional() })),
  /** Pass as `after` to go on; absent at the end. Opaque. */
  next: z.string().optional(),
});
export type ListAnswer = z.infer<typeof listAnswerSchema>;
