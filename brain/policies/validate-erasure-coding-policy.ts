/** Whether an ErasureCodingPolicy makes sense, in words for the person who wrote it. Pure. */
import { blockBytes, codeSchema } from "@couchestor/common/code/code.ts";
import {
  codeOfPolicy,
  type ErasureCodingPolicySpec,
  minHealthyShardsOf,
} from "@couchestor/common/crd/erasure-coding-policy.ts";
import { checkDuration } from "@couchestor/common/crd/texts.ts";
import type { Findings } from "./validate-storage-policy.ts";

const dayMs = 86_400_000;

export const destageIntervalLimits = { minMs: 1_000, maxMs: dayMs };
export const scrubIntervalLimits = { minMs: 3_600_000, maxMs: 365 * dayMs };

/** Checks a spec that the schema has accepted. */
export function validateErasureCodingPolicy(spec: ErasureCodingPolicySpec): Findings {
  const { dataShards: k, parityShards: m, stripeSizeBytes, journalConfig } = spec;
  const problems = [
    ...localGroupProblems(spec),
    ...checkDuration(journalConfig.destageInterval, destageIntervalLimits, "journalConfig.destageInterval").problems,
    ...checkDuration(spec.scrubInterval, scrubIntervalLimits, "scrubInterval").problems,
  ];
  if (stripeSizeBytes < k * blockBytes) {
    problems.push(
      `stripeSizeBytes: got ${stripeSizeBytes}, allowed is at least ${blockBytes} for each of ${k} data shards (${k * blockBytes})`,
    );
  }
  const least = minHealthyShardsOf(spec);
  if (least < k || least > k + m) {
    problems.push(
      `minHealthyShards: got ${least}, allowed is dataShards to dataShards + parityShards (${k} to ${k + m})`,
    );
  }
  if (problems.length === 0) {
    const code = codeSchema.safeParse(codeOfPolicy(spec));
    if (!code.success) problems.push(`dataShards, parityShards: ${code.error.issues[0]?.message}`);
  }
  return { problems, warnings: problems.length > 0 ? [] : surprises(spec) };
}

function localGroupProblems({ algorithm, localGroups, dataShards, parityShards }: ErasureCodingPolicySpec): string[] {
  if (algorithm === "ReedSolomon") {
    return localGroups === undefined
      ? []
      : [`localGroups: got ${localGroups}, allowed is nothing with algorithm ReedSolomon`];
  }
  if (localGroups === undefined) {
    return [
      `localGroups: got nothing, algorithm LRC needs it: a divisor of dataShards (${dataShards}), less than parityShards (${parityShards})`,
    ];
  }
  const problems: string[] = [];
  if (localGroups >= parityShards) {
    problems.push(
      `localGroups: got ${localGroups}, allowed is less than parityShards (${parityShards}), so that at least one parity shard is global`,
    );
  }
  if (dataShards % localGroups !== 0) {
    problems.push(`localGroups: got ${localGroups}, allowed is a divisor of dataShards (${dataShards})`);
  }
  return problems;
}

function surprises(spec: ErasureCodingPolicySpec): string[] {
  const { dataShards: k, stripeSizeBytes, journalConfig } = spec;
  const warnings: string[] = [];
  if (stripeSizeBytes % (k * blockBytes) !== 0) {
    warnings.push(
      `stripeSizeBytes: ${stripeSizeBytes} is no multiple of ${k} · ${blockBytes}, so that each stripe is padded`,
    );
  }
  if (minHealthyShardsOf(spec) === k) {
    warnings.push("minHealthyShards equals dataShards: a stripe may be committed that bears no loss at all");
  }
  if (journalConfig.replicationFactor === 1) {
    warnings.push("journalConfig.replicationFactor is 1: writes that are not encoded yet are lost with their node");
  } else if (journalConfig.replicationFactor % 2 === 0) {
    warnings.push(
      `journalConfig.replicationFactor is ${journalConfig.replicationFactor}: an even number bears no more losses than the one below it`,
    );
  }
  return warnings;
}

/** The share of stored bytes that is data, to four digits. */
export function storageEfficiency({ dataShards, parityShards }: ErasureCodingPolicySpec): number {
  return Math.round((dataShards / (dataShards + parityShards)) * 10_000) / 10_000;
}
