/**
 * The brain's admin API, as the command line uses it. Errors are problem+json everywhere.
 *
 *   GET    /v1/version
 *   GET    /v1/nodes                         `nodesAnswerSchema`
 *   POST   /v1/volumes                       `createVolumeSchema` → ECVolume
 *   GET    /v1/volumes, /v1/volumes/{name}   `volumeViewSchema`
 *   DELETE /v1/volumes/{name}                202; chunks are deleted by name, those of pools that are away when they return
 *   POST   /v1/volumes/{name}/encode         `encodeGrantRequestSchema` → `encodeGrantSchema`: where to send the bytes of one run
 *   POST   /v1/volumes/{name}/complete       `completeImportSchema`: all runs are committed
 *   GET    /v1/volumes/{name}/reader         `readerSchema`: an agent to read from (GET {url}/v1/volumes/{uuid}/data with a Range header)
 *   GET    /v1/stripes?volume=               `stripesAnswerSchema`
 *   GET    /v1/stripes/{name}                ECStripe
 *   POST   /v1/scrubs                        `scrubRequestSchema` → `scrubReportSchema` (running)
 *   GET    /v1/scrubs/{id}                   `scrubReportSchema`
 *   GET    /v1/repair                        `repairStatusSchema`;  POST /v1/repair/pause, /v1/repair/resume
 *   POST   /v1/recover                       `recoverRequestSchema` → `recoverReportSchema` (running);  GET /v1/recover
 */
import { z } from "zod";
import { codeSchema } from "../code/code.ts";
import { placementRuleSchema } from "../crd/ec-volume.ts";
import { actIdSchema, findingSchema } from "./acts.ts";
import { deviceInfoSchema } from "./devices.ts";
import { poolInfoSchema } from "./nodes.ts";
import {
  countSchema,
  labelsSchema,
  nameSchema,
  shardIndexSchema,
  timestampSchema,
  u32Schema,
  uuidSchema,
} from "./primitives.ts";

export const createVolumeSchema = z.strictObject({
  /** At most 50 characters, so that chunk headers can hold it. */
  name: nameSchema.max(50),
  sizeBytes: countSchema.min(1),
  code: codeSchema,
  /** Default 1 MiB. */
  stripeSizeBytes: u32Schema.optional(),
  /** Default: 16 … 1024, so that a volume has about 64 runs or runs of 1,024 stripes. */
  stripesPerRun: u32Schema.optional(),
  placement: placementRuleSchema.optional(),
  /** True: an import follows; the volume is Importing until `complete`. False: it is Ready and reads as zeros. */
  importing: z.boolean(),
});
export type CreateVolume = z.infer<typeof createVolumeSchema>;

export const volumeViewSchema = z.strictObject({
  name: nameSchema,
  volumeUuid: uuidSchema,
  phase: z.enum(["Empty", "Importing", "Ready", "Deleting"]),
  /** The worst state of its runs. Incomplete: some of its stripes are covered by no run. Held: somebody changed a run by hand, and it is not used. */
  health: z.enum(["Healthy", "Degraded", "Held", "Incomplete", "Unrecoverable", "Unwritten"]),
  sizeBytes: countSchema,
  code: codeSchema,
  stripeSizeBytes: u32Schema,
  stripesPerRun: u32Schema,
  runs: z.strictObject({
    total: countSchema,
    written: countSchema,
    healthy: countSchema,
    degraded: countSchema,
    unrecoverable: countSchema,
    held: countSchema,
    /** Of those that it must have, how many are gone. */
    absent: countSchema,
  }),
  /** Stripes that no run covers and that can't be read therefore, and the first ranges of them. Absent: each is covered. */
  uncovered: z
    .strictObject({
      stripes: countSchema,
      ranges: z.array(z.strictObject({ firstStripe: countSchema, stripeCount: countSchema })).max(16),
    })
    .optional(),
  epoch: countSchema,
  contentSha256: z.string().optional(),
  createdAt: timestampSchema,
});
export type VolumeView = z.infer<typeof volumeViewSchema>;
export const volumesAnswerSchema = z.strictObject({ volumes: z.array(volumeViewSchema) });

export const nodeViewSchema = z.strictObject({
  nodeName: nameSchema,
  state: z.enum(["Online", "Offline"]),
  since: timestampSchema,
  version: z.string(),
  codec: z.string(),
  labels: labelsSchema,
  clusterUrl: z.string(),
  adminUrl: z.string(),
  pools: z.array(poolInfoSchema),
  /** Absent: the agent reports none, or has not spoken since the brain started. */
  devices: z.array(deviceInfoSchema).optional(),
});
export type NodeView = z.infer<typeof nodeViewSchema>;
export const nodesAnswerSchema = z.strictObject({ nodes: z.array(nodeViewSchema) });

export const encodeGrantRequestSchema = z.strictObject({
  runIndex: countSchema,
  /** sha256 of the bytes to come. If the run is committed with the same, nothing need be sent. */
  contentSha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/)
    .optional(),
});
export const encodeGrantSchema = z.discriminatedUnion("state", [
  z.strictObject({ state: z.literal("committed"), runIndex: countSchema }),
  z.strictObject({
    state: z.literal("granted"),
    runIndex: countSchema,
    act: actIdSchema,
    /** PUT {dataUrl}: exactly `contentBytes` bytes from `offsetBytes` of the volume. Answers `encodeResultSchema` after the commit. */
    dataUrl: z.url(),
    offsetBytes: countSchema,
    contentBytes: countSchema,
  }),
]);
export type EncodeGrant = z.infer<typeof encodeGrantSchema>;
/** The mover's answer to the bytes of an encode act. */
export const encodeResultSchema = z.strictObject({
  result: z.enum(["committed", "dropped"]),
  reason: z.string().optional(),
  contentSha256: z.string(),
  codec: z.string(),
});
export type EncodeResult = z.infer<typeof encodeResultSchema>;

export const completeImportSchema = z.strictObject({ contentSha256: z.string().regex(/^[0-9a-f]{64}$/) });
export const readerSchema = z.strictObject({
  nodeName: nameSchema,
  url: z.url(),
  volumeUuid: uuidSchema,
  sizeBytes: countSchema,
});

export const stripeViewSchema = z.strictObject({
  name: nameSchema,
  volume: nameSchema,
  runIndex: countSchema,
  firstStripe: countSchema,
  stripeCount: u32Schema,
  /** Held: it was changed by hand, and is neither read nor written, repaired or cleaned up. */
  state: z.enum(["Unwritten", "Healthy", "Degraded", "Held", "Unrecoverable"]),
  /** Why it is held, and what to do. Absent: it isn't. */
  held: z.string().optional(),
  code: codeSchema,
  generation: u32Schema,
  placementVersion: u32Schema,
  missing: z.array(
    z.strictObject({ shardIndex: shardIndexSchema, nodeName: z.string(), poolName: z.string(), why: z.string() }),
  ),
  shards: z.array(
    z.strictObject({
      shardIndex: shardIndexSchema,
      nodeName: z.string(),
      poolName: z.string(),
      poolUuid: uuidSchema,
      online: z.boolean(),
    }),
  ),
  exceptions: countSchema,
});
export type StripeView = z.infer<typeof stripeViewSchema>;
export const stripesAnswerSchema = z.strictObject({ stripes: z.array(stripeViewSchema) });

export const scrubRequestSchema = z.strictObject({
  /** Absent: all volumes. */
  volume: nameSchema.optional(),
  /** Also read every shard and encode parity again (an audit). */
  deep: z.boolean().default(false),
  /** Put again what was found bad. */
  repair: z.boolean().default(true),
});
export const scrubReportSchema = z.strictObject({
  id: z.string(),
  state: z.enum(["Running", "Done", "Failed"]),
  deep: z.boolean(),
  startedAt: timestampSchema,
  finishedAt: timestampSchema.optional(),
  stripesTotal: countSchema,
  stripesChecked: countSchema,
  chunksChecked: countSchema,
  bytesRead: countSchema,
  findings: z.array(findingSchema),
  findingsTruncated: z.boolean(),
  repaired: countSchema,
  unrepaired: countSchema,
  etaSeconds: z.number().optional(),
  error: z.string().optional(),
});
export type ScrubReport = z.infer<typeof scrubReportSchema>;

/** The emptying of pools on failing devices. */
export const evacuationStatusSchema = z.strictObject({
  /** Why nothing is moved: too many devices report that they are failing. */
  heldBack: z.string().optional(),
  /** Runs with shards on those pools that wait, are being moved, and have been since the brain started. */
  queued: countSchema,
  running: countSchema,
  runsMoved: countSchema,
  /** The first of those that can't be moved now, of so many. */
  blocked: z.array(z.strictObject({ stripe: z.string(), reason: z.string() })),
  blockedTotal: countSchema.optional(),
  pools: z.array(
    z.strictObject({
      poolUuid: uuidSchema,
      poolName: nameSchema,
      nodeName: nameSchema,
      deviceId: z.string(),
      phase: z.enum(["emptying", "held back", "paused", "emptied", "blocked"]),
      runsLeft: countSchema,
      reasons: z.array(z.string()),
    }),
  ),
});
export type EvacuationStatus = z.infer<typeof evacuationStatusSchema>;

export const repairStatusSchema = z.strictObject({
  paused: z.boolean(),
  /** Runs with lost shards that wait, are under way, and can't be repaired now. */
  queued: countSchema,
  running: countSchema,
  /** The first of the last, and how many there are. */
  blocked: z.array(z.strictObject({ stripe: z.string(), reason: z.string() })),
  blockedTotal: countSchema.optional(),
  /** Of the present wave: since the queue was last empty. */
  stripesDone: countSchema,
  stripesTotal: countSchema,
  bytesMoved: countSchema,
  bytesPerSecond: z.number(),
  etaSeconds: z.number().optional(),
  /** Runs by how many further losses they bear: `spare[0]` can lose none. */
  spare: z.record(z.string(), countSchema),
  /** Nodes that are away, or pools of nodes that no longer report them, and when repair begins to replace them. */
  waiting: z.array(
    z.strictObject({ nodeName: nameSchema, poolName: nameSchema.optional(), repairInSeconds: z.number() }),
  ),
  evacuation: evacuationStatusSchema,
});
export type RepairStatus = z.infer<typeof repairStatusSchema>;

export const recoverRequestSchema = z.strictObject({
  /** Read every chunk and count only those that verify. */
  verify: z.boolean().default(true),
  /** Report only; write nothing. */
  dryRun: z.boolean().default(false),
});
export const recoverReportSchema = z.strictObject({
  state: z.enum(["Running", "Done", "Failed"]),
  dryRun: z.boolean(),
  clusterUuid: uuidSchema.optional(),
  poolsRead: countSchema,
  poolsTotal: countSchema,
  chunksRead: countSchema,
  volumes: z.array(
    z.strictObject({
      name: nameSchema,
      volumeUuid: uuidSchema,
      sizeBytes: countSchema,
      runs: countSchema,
      stripes: countSchema,
      degradedStripes: countSchema,
      /** Stripes for which no version has k intact shards: they read as errors, not as zeros. */
      lostStripes: z.array(countSchema),
      /** Versions left aside: of dead acts, or with fewer than k shards. */
      ignoredVersions: countSchema,
      notes: z.array(z.string()),
    }),
  ),
  error: z.string().optional(),
});
export type RecoverReport = z.infer<typeof recoverReportSchema>;
