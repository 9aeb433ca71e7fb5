/**
 * What is admitted. The schemas' rules have been checked by the API server; this adds limits of durations, what other objects have to do with
 * it, and warnings. Whoever acts on a policy checks it again: this is here so that people hear of a mistake when they make it. Pure.
 */
import { erasureCodingPolicyKind } from "@couchestor/common/crd/erasure-coding-policy.ts";
import { formatSelector } from "@couchestor/common/crd/label-selector.ts";
import { apiGroup, type ResourceKind } from "@couchestor/common/crd/object.ts";
import { type StoragePolicySpec, storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import { validateErasureCodingPolicy } from "../policies/validate-erasure-coding-policy.ts";
import { type Findings, validateStoragePolicy } from "../policies/validate-storage-policy.ts";
import type { ReviewRequest, Verdict } from "./review.ts";

/** What is known of other objects; may be a little old. */
export interface AdmissionFacts {
  /** Undefined while nobody knows yet. */
  erasureCodingPolicyExists(name: string): boolean | undefined;
  storagePolicies(): Iterable<{ name: string; spec: StoragePolicySpec }>;
  /** Volumes that were made by an ErasureCodingPolicy. */
  volumesOf(erasureCodingPolicy: string): number;
}

const fine: Verdict = { problems: [], warnings: [] };

/** Judges a request. What is no business of ours is allowed. */
export function admit(request: ReviewRequest, facts: AdmissionFacts): Verdict {
  if (request.kind.group !== apiGroup || (request.subResource ?? "") !== "") return fine;
  const name = request.name ?? request.object?.metadata?.name ?? "";
  switch (request.kind.kind) {
    case storagePolicyKind.kind:
      return changed(request)
        ? checked(storagePolicyKind, request, (spec) => {
            const found = validateStoragePolicy(spec);
            return { ...found, warnings: [...found.warnings, ...neighbours(name, spec, facts)] };
          })
        : fine;
    case erasureCodingPolicyKind.kind:
      if (request.operation === "DELETE") return deletion(name, facts);
      return changed(request) ? checked(erasureCodingPolicyKind, request, validateErasureCodingPolicy) : fine;
    default:
      return fine;
  }
}

/** Whether the spec is new. Finalizers, labels and the way out must never be held up by a spec that was accepted once. */
function changed({ operation, object, oldObject }: ReviewRequest): boolean {
  if (operation === "CREATE") return true;
  if (operation !== "UPDATE" || (object?.metadata?.deletionTimestamp ?? null) !== null) return false;
  return !Bun.deepEquals(object?.spec, oldObject?.spec);
}

function checked<S, T>(kind: ResourceKind<S, T>, request: ReviewRequest, validate: (spec: S) => Findings): Verdict {
  const parsed = kind.spec.safeParse(request.object?.spec);
  if (parsed.success) return validate(parsed.data);
  return {
    problems: parsed.error.issues.map(({ path, message }) => `${["spec", ...path].map(String).join(".")}: ${message}`),
    warnings: [],
  };
}

function neighbours(name: string, spec: StoragePolicySpec, facts: AdmissionFacts): string[] {
  const warnings: string[] = [];
  if (spec.ecPolicyRef !== undefined && facts.erasureCodingPolicyExists(spec.ecPolicyRef) === false) {
    warnings.push(`ecPolicyRef: there is no ErasureCodingPolicy ${spec.ecPolicyRef} (yet)`);
  }
  if (!spec.enabled) return warnings;
  const selector = formatSelector(spec.volumeSelector ?? {});
  for (const other of facts.storagePolicies()) {
    if (other.name === name || !other.spec.enabled || other.spec.storageClassName !== spec.storageClassName) continue;
    const theirs = formatSelector(other.spec.volumeSelector ?? {});
    if (selector !== theirs && selector !== "everything" && theirs !== "everything") continue;
    warnings.push(
      `StoragePolicy ${other.name} claims volumes of StorageClass ${spec.storageClassName} too; of two that claim one volume the older wins`,
    );
  }
  return warnings;
}

function deletion(name: string, facts: AdmissionFacts): Verdict {
  const warnings: string[] = [];
  const volumes = facts.volumesOf(name);
  if (volumes > 0) {
    warnings.push(`${volumes} volume(s) were made by ${name}; they keep their code and their data, but no policy`);
  }
  for (const policy of facts.storagePolicies()) {
    if (policy.spec.ecPolicyRef === name) warnings.push(`StoragePolicy ${policy.name} names ${name} in ecPolicyRef`);
  }
  return { problems: [], warnings };
}
