/** Stripe maps: where the shards of a run of stripes are. Made by the brain from ECStripe, read by agents to read and to repair. */
import { z } from "zod";
import { codeSchema } from "../code/code.ts";
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

export const volumeDescriptorSchema = z.strictObject({
  name: nameSchema,
  volumeUuid: uuidSchema,
  journalId: uuidSchema,
  clusterUuid: uuidSchema,
  sizeBytes: countSchema,
  stripeSizeBytes: u32Schema,
  stripesPerRun: u32Schema,
});
export type VolumeDescriptor = z.infer<typeof volumeDescriptorSchema>;

/** One shard column of a run: every stripe of the run has this shard in this pool, put by this act, but for the exceptions. */
export const shardLocationSchema = z.strictObject({
  shardIndex: shardIndexSchema,
  poolUuid: uuidSchema,
  nodeName: nameSchema,
  poolName: nameSchema,
  putEpoch: epochSchema,
  putAct: actNoSchema,
});
export type ShardLocation = z.infer<typeof shardLocationSchema>;

export const shardExceptionSchema = z.strictObject({
  stripe: countSchema,
  shardIndex: shardIndexSchema,
  poolUuid: uuidSchema,
  putEpoch: epochSchema,
  putAct: actNoSchema,
  present: z.boolean(),
});
export type ShardException = z.infer<typeof shardExceptionSchema>;

export const shardExceptionsMax = 256;

export const runMapSchema = z.strictObject({
  firstStripe: countSchema,
  stripeCount: u32Schema,
  code: codeSchema,
  /** 0: never written, reads as zeros. */
  generation: generationSchema,
  encodeEpoch: epochSchema,
  encodeAct: actNoSchema,
  throughSeq: countSchema,
  placementVersion: u32Schema,
  shardLocations: z.array(shardLocationSchema).max(48),
  exceptions: z.array(shardExceptionSchema).max(shardExceptionsMax),
});
export type RunMap = z.infer<typeof runMapSchema>;

export const nodeAddressSchema = z.strictObject({ nodeName: nameSchema, url: z.url(), online: z.boolean() });
export type NodeAddress = z.infer<typeof nodeAddressSchema>;

/** GET {brain cluster listener}/v1/maps/{volumeUuid}?firstStripe=&stripeCount= : the runs that overlap, at most `runsPerMapMax`. */
export const runsPerMapMax = 256;
export const volumeMapSchema = z.strictObject({
  volume: volumeDescriptorSchema,
  runs: z.array(runMapSchema).max(runsPerMapMax),
  nodes: z.array(nodeAddressSchema),
});
export type VolumeMap = z.infer<typeof volumeMapSchema>;
