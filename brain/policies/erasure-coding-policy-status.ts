/** The status of an ErasureCodingPolicy: what is found of its spec and of what is stored by it. Pure. */
import { formatCode, lossesTolerated, shardCount } from "@couchestor/common/code/code.ts";
import {
  codeOfPolicy,
  type ErasureCodingPolicy,
  type ErasureCodingPolicySpec,
  type ErasureCodingPolicyStatus,
} from "@couchestor/common/crd/erasure-coding-policy.ts";
import { type ConditionUpdate, withConditions } from "../runtime/conditions.ts";
import type { PolicyCounts } from "./stripe-tally.ts";
import { storageEfficiency, validateErasureCodingPolicy } from "./validate-erasure-coding-policy.ts";

/** How pressing a change of a status is: `now` for what people wait for, `soon` for counts that move all the time. */
export interface StatusChange {
  status: ErasureCodingPolicyStatus;
  urgency: "now" | "soon";
}

/** The status that the policy should have; undefined if it has it. `now` is the time as it is written. */
export function erasureCodingPolicyStatus(
  policy: ErasureCodingPolicy,
  counts: PolicyCounts,
  now: string,
): StatusChange | undefined {
  const { problems, warnings } = validateErasureCodingPolicy(policy.spec);
  const before = policy.status;
  const phase = problems.length > 0 ? "Invalid" : counts.activeVolumes > 0 ? "Active" : "Ready";
  const generation = policy.metadata.generation;
  const message = problems.length > 0 ? problems.join("; ") : goodFor(policy.spec, warnings);
  const { failedStripes: _, ...shown } = counts;
  const conditions = withConditions(before?.conditions, conditionsOf(problems, counts, message, generation), now);
  const found: ErasureCodingPolicyStatus = {
    phase,
    ...(generation === undefined ? {} : { observedGeneration: generation }),
    ...shown,
    ...(problems.length > 0 ? {} : { storageEfficiency: storageEfficiency(policy.spec) }),
    lastValidationTime: before?.lastValidationTime ?? now,
    message,
    conditions,
  };
  if (Bun.deepEquals(found, before)) return undefined;
  const judgedAnew = before?.observedGeneration !== generation || before?.phase !== phase;
  const transition = judgedAnew || before.conditions !== conditions || before.message !== message;
  if (judgedAnew) found.lastValidationTime = now;
  return { status: found, urgency: transition ? "now" : "soon" };
}

function conditionsOf(
  problems: readonly string[],
  counts: PolicyCounts,
  message: string,
  generation: number | undefined,
): ConditionUpdate[] {
  const seen = generation === undefined ? {} : { observedGeneration: generation };
  const ready: ConditionUpdate =
    problems.length === 0
      ? { type: "Ready", status: "True", reason: "Valid", message: "Volumes can be made by this policy.", ...seen }
      : { type: "Ready", status: "False", reason: "Invalid", message, ...seen };
  return [ready, { ...degradation(counts), ...seen }];
}

/** Says nothing of how many, so that it changes on transitions only; the counts are beside it. */
function degradation({ degradedStripes, failedStripes, rebuildingStripes }: PolicyCounts): ConditionUpdate {
  const type = "Degraded";
  if (failedStripes > 0) {
    const message = "Some stripes can't be read: see failed ECStripes, and bring their nodes or disks back.";
    return { type, status: "True", reason: "StripesFailed", message };
  }
  if (degradedStripes > 0) {
    return { type, status: "True", reason: "ShardsMissing", message: "Some stripes lack shards. They can be read." };
  }
  if (rebuildingStripes > 0) {
    return { type, status: "True", reason: "Rebuilding", message: "Missing shards are being rebuilt." };
  }
  return { type, status: "False", reason: "AllShardsThere", message: "Every stripe has all of its shards." };
}

function goodFor(spec: ErasureCodingPolicySpec, warnings: readonly string[]): string {
  const code = codeOfPolicy(spec);
  const percent = Math.round(storageEfficiency(spec) * 1000) / 10;
  const bears = `${formatCode(code)}: any ${lossesTolerated(code)} of ${shardCount(code)} shards may be lost; ${percent} % of what is stored is data`;
  return [bears, ...warnings].join(". ");
}
