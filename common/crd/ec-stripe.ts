/**
 * ECStripe: a run of stripes of one volume with one placement. All that commits is in `spec`, by compare-and-swap; `status` only observes,
 * and changes on transitions only. Names are `{volume}-{firstStripe, 10 digits}` so that a prefix lists a volume's runs in order.
 */
import { z } from "zod";
import { type runMapSchema, shardExceptionSchema, shardExceptionsMax, shardLocationSchema } from "../api/maps.ts";
import {
  actNoSchema,
  countSchema,
  epochSchema,
  generationSchema,
  nameSchema,
  shardIndexSchema,
  timestampSchema,
  u32Schema,
  uuidSchema,
} from "../api/primitives.ts";
import { codeSchema } from "../code/code.ts";
import { conditionSchema, type Resource, type ResourceKind } from "./object.ts";

export const placementSchema = z.strictObject({
  version: u32Schema,
  code: codeSchema,
  shardLocations: z.array(shardLocationSchema).max(48),
  since: timestampSchema,
});
export type Placement = z.infer<typeof placementSchema>;

export const ecStripeSpecSchema = z.strictObject({
  volumeRef: nameSchema,
  volumeUuid: uuidSchema,
  journalId: uuidSchema,
  stripeId: countSchema,
  policyRef: nameSchema.optional(),
  firstStripe: countSchema,
  stripeCount: u32Schema,
  lbaRange: z.strictObject({ startBytes: countSchema, endBytes: countSchema }),
  /** `store`: commits happen here. `journal`: the live volume's journal commits, this is a summary. Never goes back. */
  authority: z.enum(["store", "journal"]),
  /** The highest owner epoch that has fenced this run: a commit by an older epoch is refused, and no garbage of older epochs may be removed before. */
  fencedEpoch: epochSchema,
  /** 0: never written, reads as zeros. With `authority: store` all stripes of the run share these three. */
  generation: generationSchema,
  encodeEpoch: epochSchema,
  encodeAct: actNoSchema,
  throughSeq: countSchema,
  code: codeSchema,
  /** All in use, newest last; one for `authority: store`, none before the first write. */
  placements: z.array(placementSchema).max(4),
  exceptions: z.array(shardExceptionSchema).max(shardExceptionsMax),
  proposedPlacement: z.strictObject({ version: u32Schema, reason: z.string(), planId: z.string() }).optional(),
  /** sha256 of the run's content at encoding. Advisory. */
  checksum: z.string().optional(),
});
export type EcStripeSpec = z.infer<typeof ecStripeSpecSchema>;

export const ecStripeStatusSchema = z.strictObject({
  /** `Unwritten` | `Healthy` | `Degraded` (readable, some shards lost) | `Unrecoverable` (fewer than k shards reachable). */
  state: z.enum(["Unwritten", "Healthy", "Degraded", "Unrecoverable"]),
  missingShards: z.array(shardIndexSchema),
  observedEpoch: epochSchema,
  observedSeq: countSchema,
  lastScrub: timestampSchema.optional(),
  lastAudit: timestampSchema.optional(),
  conditions: z.array(conditionSchema).optional(),
});
export type EcStripeStatus = z.infer<typeof ecStripeStatusSchema>;

export type EcStripe = Resource<EcStripeSpec, EcStripeStatus>;
export const ecStripeKind: ResourceKind<EcStripeSpec, EcStripeStatus> = {
  kind: "ECStripe",
  plural: "ecstripes",
  shortNames: ["ecs"],
  spec: ecStripeSpecSchema,
  status: ecStripeStatusSchema,
};

/** The newest placement in use, or undefined for a run never written. */
export function currentPlacement(spec: EcStripeSpec): Placement | undefined {
  return spec.placements.at(-1);
}

/** The run as agents read it. */
export function runMapOf(spec: EcStripeSpec): z.infer<typeof runMapSchema> {
  const placement = currentPlacement(spec);
  return {
    firstStripe: spec.firstStripe,
    stripeCount: spec.stripeCount,
    code: spec.code,
    generation: spec.generation,
    encodeEpoch: spec.encodeEpoch,
    encodeAct: spec.encodeAct,
    throughSeq: spec.throughSeq,
    placementVersion: placement?.version ?? 0,
    shardLocations: placement?.shardLocations ?? [],
    exceptions: spec.exceptions,
  };
}

/** `vol-0000000128`: the object whose first stripe is 128. By stripe, not by run, so that recovery may split a run. */
export function stripeObjectName(volumeName: string, firstStripe: number): string {
  return `${volumeName}-${String(firstStripe).padStart(10, "0")}`;
}
