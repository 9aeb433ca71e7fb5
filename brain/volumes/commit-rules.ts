/** What a commit makes of a run, and whether it may. Pure; the compare-and-swap around it is in `commit.ts`. */
import type { ActId } from "@couchestor/common/api/acts.ts";
import { type ShardException, type ShardLocation, shardExceptionsMax } from "@couchestor/common/api/maps.ts";
import { currentPlacement, type EcStripeSpec } from "@couchestor/common/crd/ec-stripe.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";

/** The version an act was granted on. Its commit counts only while this is still the committed one [D2]. */
export interface BaseVersion {
  generation: number;
  encodeEpoch: number;
  encodeAct: number;
  placementVersion: number;
}

export function baseOf(spec: EcStripeSpec): BaseVersion {
  return {
    generation: spec.generation,
    encodeEpoch: spec.encodeEpoch,
    encodeAct: spec.encodeAct,
    placementVersion: currentPlacement(spec)?.version ?? 0,
  };
}

export type Commit =
  | {
      kind: "encode";
      act: ActId;
      base: BaseVersion;
      generation: number;
      throughSeq: number;
      locations: ShardLocation[];
      checksum: string | undefined;
    }
  | { kind: "columns"; act: ActId; base: BaseVersion; locations: ShardLocation[] }
  | { kind: "chunks"; act: ActId; base: BaseVersion; exceptions: ShardException[] };

/** Why a commit does not count, or undefined if it does. */
export function refusal(spec: EcStripeSpec, commit: Commit): string | undefined {
  const { act, base } = commit;
  if (spec.volumeUuid !== act.volumeUuid) return "the run belongs to another volume now";
  if (spec.authority !== "store") return "the volume's journal commits this run, not the store";
  if (act.epoch < spec.fencedEpoch) return `epoch ${act.epoch} is fenced by ${spec.fencedEpoch}`;
  const now = baseOf(spec);
  const same =
    now.generation === base.generation &&
    now.encodeEpoch === base.encodeEpoch &&
    now.encodeAct === base.encodeAct &&
    now.placementVersion === base.placementVersion;
  return same ? undefined : "another version was committed since the act was granted";
}

/** Whether the run already holds what this act would commit. */
export function alreadyCommitted(spec: EcStripeSpec, act: ActId): boolean {
  if (spec.volumeUuid !== act.volumeUuid) return false;
  if (spec.encodeEpoch === act.epoch && spec.encodeAct === act.actNo && spec.generation > 0) return true;
  const mine = (put: { putEpoch: number; putAct: number }) => put.putEpoch === act.epoch && put.putAct === act.actNo;
  return (currentPlacement(spec)?.shardLocations ?? []).some(mine) || spec.exceptions.some(mine);
}

/** The run's spec after the commit. Every commit raises the placement version, so that one base is never taken for another. */
export function committedSpec(spec: EcStripeSpec, commit: Commit, since: string): EcStripeSpec {
  const placement = currentPlacement(spec);
  const version = (placement?.version ?? 0) + 1;
  const fencedEpoch = Math.max(spec.fencedEpoch, commit.act.epoch);
  if (commit.kind === "encode") {
    const { checksum: _old, proposedPlacement: _proposed, ...rest } = spec;
    return {
      ...rest,
      fencedEpoch,
      generation: commit.generation,
      encodeEpoch: commit.act.epoch,
      encodeAct: commit.act.actNo,
      throughSeq: commit.throughSeq,
      placements: [{ version, code: spec.code, shardLocations: commit.locations, since }],
      exceptions: [],
      ...(commit.checksum === undefined ? {} : { checksum: commit.checksum }),
    };
  }
  const locations = placement?.shardLocations ?? [];
  if (commit.kind === "columns") {
    const moved = new Map(commit.locations.map((l) => [l.shardIndex, l]));
    const kept = locations.filter((l) => !moved.has(l.shardIndex));
    const shardLocations = [...kept, ...moved.values()].sort((a, b) => a.shardIndex - b.shardIndex);
    return {
      ...spec,
      fencedEpoch,
      placements: [{ version, code: spec.code, shardLocations, since }],
      exceptions: spec.exceptions.filter((e) => !moved.has(e.shardIndex)),
    };
  }
  return {
    ...spec,
    fencedEpoch,
    placements: [{ version, code: spec.code, shardLocations: locations, since }],
    exceptions: mergeExceptions(spec.exceptions, commit.exceptions),
  };
}

/** The exceptions after a repair of single chunks. More than 256 is a bug of the caller, who must put the whole column again. */
export function mergeExceptions(old: readonly ShardException[], added: readonly ShardException[]): ShardException[] {
  const key = (e: ShardException) => `${e.stripe}/${e.shardIndex}`;
  const merged = new Map(old.map((e) => [key(e), e]));
  for (const exception of added) merged.set(key(exception), exception);
  if (merged.size > shardExceptionsMax) {
    throw new AppError("Internal", `${merged.size} exceptions in one run, at most ${shardExceptionsMax} fit`);
  }
  return [...merged.values()].sort((a, b) => a.stripe - b.stripe || a.shardIndex - b.shardIndex);
}
