/**
 * Inventory: agents tell the brain what they have.
 *   agent → brain  POST {brain cluster listener}/v1/nodes/{nodeName}/heartbeat   `heartbeatSchema` → `heartbeatAnswerSchema`
 *   anyone → agent GET  {agent}/v1/pools   `poolsAnswerSchema`
 */
import { z } from "zod";
import { actProgressSchema } from "./acts.ts";
import { deviceInfoSchema, devicesMax } from "./devices.ts";
import { countSchema, labelsSchema, nameSchema, uuidSchema } from "./primitives.ts";

/** `Online`: reads and writes. `Full`: reads, no writes. `ReadOnly`: the medium refuses writes. `Failed`: the medium fails reads too, or is gone. */
export const poolStateSchema = z.enum(["Online", "Full", "ReadOnly", "Failed"]);

export const poolInfoSchema = z.strictObject({
  poolUuid: uuidSchema,
  poolName: nameSchema,
  kind: z.enum(["directory", "block", "zoned"]),
  labels: labelsSchema,
  state: poolStateSchema,
  /** Why it is not Online, for a person. */
  reason: z.string().optional(),
  clusterUuid: uuidSchema,
  capacityBytes: countSchema,
  /** Bytes that chunks, records and not yet compacted garbage take on the medium. */
  usedBytes: countSchema,
  freeBytes: countSchema,
  /** Bytes of live chunks, headers included. */
  liveBytes: countSchema,
  chunkCount: countSchema,
  /** The one device that all of its data lies on, by its id; absent: not known, or more than one. */
  deviceId: z.string().max(256).optional().describe("The one device that all of its data lies on."),
});
export type PoolInfo = z.infer<typeof poolInfoSchema>;

export const poolsAnswerSchema = z.strictObject({ pools: z.array(poolInfoSchema) });

export const heartbeatSchema = z.strictObject({
  protocolVersion: z.int(),
  version: z.string(),
  nodeName: nameSchema,
  /** Made anew at every start of the agent: tells a restart. */
  instanceUuid: uuidSchema,
  /** Where the agent's cluster and admin listeners are reached. */
  clusterUrl: z.url(),
  adminUrl: z.url(),
  /** `zone`, `rack` and whatever else a placement rule may name as failure domain. */
  labels: labelsSchema,
  codec: z.string(),
  pools: z.array(poolInfoSchema).max(1024),
  acts: z.array(actProgressSchema).max(1024),
  /** The node's disks and namespaces; absent: they have not been looked for yet. */
  devices: z.array(deviceInfoSchema).max(devicesMax).optional(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

export const heartbeatAnswerSchema = z.strictObject({
  /** The cluster this brain keeps. A fresh agent writes it to its pools; one of another cluster refuses and says so. Absent: the brain has no cluster yet (recovery is due). */
  clusterUuid: uuidSchema.optional(),
  heartbeatEveryMs: countSchema,
});
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;
