/**
 * What nobody but a person with an editor does to an ECStripe. A commit takes the version forward and leaves the rest; a change that takes it
 * back, or changes it without a new number, was none. Such a run is held: neither read nor written, repaired or cleaned up, until it is put
 * back or accepted. A change that looks just like a commit can't be told from one, and asks for the same proofs before anything is deleted. Pure.
 */
import { formatCode } from "@couchestor/common/code/code.ts";
import type { EcStripe, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolumeSpec } from "@couchestor/common/crd/ec-volume.ts";
import type { RunEntry } from "./run-entry.ts";

/** On an ECStripe, with its metadata.generation as the value: its spec as it is now is what counts. */
export const acceptAnnotation = "storage.billyronks.io/accept-edit";
/** False while a run is held. */
export const trustedCondition = "SpecTrusted";

type Version = Pick<
  RunEntry,
  | "firstStripe"
  | "stripeCount"
  | "bytes"
  | "code"
  | "authority"
  | "fencedEpoch"
  | "generation"
  | "encodeEpoch"
  | "encodeAct"
  | "placementVersion"
  | "shardLocations"
  | "exceptions"
>;

/** Why `after` can't have come from `before` by commits and fences, however many; undefined if it can. */
export function impossibleChange(before: Version, after: Version): string | undefined {
  for (const field of ["firstStripe", "stripeCount", "bytes"] as const) {
    if (before[field] !== after[field]) return `the stripes that it covers changed (${field})`;
  }
  const [codeBefore, codeAfter] = [formatCode(before.code), formatCode(after.code)];
  if (codeBefore !== codeAfter) return `its code changed from ${codeBefore} to ${codeAfter}`;
  if (before.authority === "journal" && after.authority === "store") return "authority went back from journal to store";
  for (const field of ["fencedEpoch", "generation", "placementVersion"] as const) {
    if (after[field] < before[field]) return `${field} went back from ${before[field]} to ${after[field]}`;
  }
  const sameEncoding = before.encodeEpoch === after.encodeEpoch && before.encodeAct === after.encodeAct;
  if (after.generation === before.generation && !sameEncoding) {
    return `the encoding of generation ${after.generation} changed`;
  }
  if (after.placementVersion > before.placementVersion) return undefined;
  if (after.generation > before.generation) return `generation rose without a new placement`;
  const same =
    Bun.deepEquals(before.shardLocations, after.shardLocations) && Bun.deepEquals(before.exceptions, after.exceptions);
  return same ? undefined : `the shards of placement version ${after.placementVersion} are elsewhere than it said`;
}

/** Why a volume's spec can't have become this: what its chunks were made by never changes. */
export function impossibleSpec(before: EcVolumeSpec, after: EcVolumeSpec): string | undefined {
  const fixed = ["blockSizeBytes", "stripeSizeBytes", "stripesPerRun"] as const;
  for (const field of fixed) {
    if (before[field] !== after[field]) return `${field} changed from ${before[field]} to ${after[field]}`;
  }
  if (after.sizeBytes < before.sizeBytes) return `sizeBytes went back from ${before.sizeBytes} to ${after.sizeBytes}`;
  const [codeBefore, codeAfter] = [formatCode(before.code), formatCode(after.code)];
  return codeBefore === codeAfter ? undefined : `its code changed from ${codeBefore} to ${codeAfter}`;
}

/** Whether a person has said that this spec is what counts. */
export function isAccepted({ metadata }: EcStripe): boolean {
  const value = metadata.annotations?.[acceptAnnotation];
  return value !== undefined && value === String(metadata.generation);
}

/** Why the run was held when its status was last written; undefined if it wasn't. */
export function heldBefore(status: EcStripeStatus | undefined): string | undefined {
  const condition = status?.conditions?.find(({ type }) => type === trustedCondition);
  return condition?.status === "False" ? condition.message : undefined;
}
