import { expect, test } from "bun:test";
import {
  codeOfPolicy,
  type ErasureCodingPolicySpec,
  erasureCodingPolicySpecSchema,
} from "@couchestor/common/crd/erasure-coding-policy.ts";
import { formatSelector, labelSelectorSchema, selects } from "@couchestor/common/crd/label-selector.ts";
import { type StoragePolicySpec, storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { storageEfficiency, validateErasureCodingPolicy } from "./validate-erasure-coding-policy.ts";
import { validateStoragePolicy } from "./validate-storage-policy.ts";

const hot = { matchLabels: { tier: "hot" } };
const warm = { matchLabels: { tier: "warm" } };
const cold = { matchLabels: { tier: "cold" } };
const tiers = { hotPoolSelector: hot, warmPoolSelector: warm, coldPoolSelector: cold };
const policy = (fields: Partial<StoragePolicySpec>) =>
  validateStoragePolicy(storagePolicySpecSchema.parse({ ...tiers, ...fields }));
const code = (fields: Partial<ErasureCodingPolicySpec>) =>
  validateErasureCodingPolicy(erasureCodingPolicySpecSchema.parse(fields));

test("the defaults are fine and surprise nobody", () => {
  expect(policy({})).toEqual({ problems: [], warnings: [] });
  expect(code({})).toEqual({ problems: [], warnings: [] });
});

test("each field that makes no sense is named with what came and what is allowed", () => {
  expect(policy({ lowWatermarkIOPS: 5000 }).problems).toEqual([
    "lowWatermarkIOPS: got 5000, allowed is less than highWatermarkIOPS (5000)",
  ]);
  expect(policy({ warmWatermarkIOPS: 500 }).problems).toEqual([
    "warmWatermarkIOPS: got 500, allowed is 0 (two tiers), or more than lowWatermarkIOPS (500) and less than highWatermarkIOPS (5000)",
  ]);
  const all = policy({
    samplingWindow: "30s",
    cooldownPeriod: "366d",
    migrationTimeout: "8d",
    volumeSelector: {
      matchExpressions: [
        { key: "a", operator: "In" },
        { key: "b", operator: "Exists", values: ["x"] },
      ],
    },
  });
  expect(all.problems).toEqual([
    'samplingWindow: got "30s", allowed is 1m to 30d',
    'cooldownPeriod: got "366d", allowed is 0s to 365d',
    'migrationTimeout: got "8d", allowed is 1m to 7d',
    "volumeSelector.matchExpressions[0].values: got none, In needs at least one",
    "volumeSelector.matchExpressions[1].values: got 1, Exists takes none",
  ]);
});

test("deprecated selectors work and say what replaces them; the new one wins", () => {
  const { problems, warnings } = validateStoragePolicy(
    storagePolicySpecSchema.parse({
      nvmePoolSelector: hot,
      sataPoolSelector: cold,
      coldPoolSelector: warm,
      warmWatermarkIOPS: 0,
    }),
  );
  expect(problems).toEqual([]);
  expect(warnings).toEqual([
    "nvmePoolSelector is deprecated: use hotPoolSelector",
    "sataPoolSelector is deprecated: use coldPoolSelector; coldPoolSelector is set too and wins",
  ]);
});

test("what has no effect or the opposite of what was meant is a warning", () => {
  expect(policy({ coldPoolSelector: undefined, ecPolicyRef: "wide" }).warnings).toEqual([
    "coldPoolSelector not set: nothing is moved to cold pools",
    "ecPolicyRef has no effect without a coldPoolSelector: there are no cold pools to choose from",
  ]);
  expect(policy({ warmWatermarkIOPS: 0, coldPoolSelector: hot }).warnings).toEqual([
    "warmPoolSelector has no effect while warmWatermarkIOPS is 0: there are two tiers only",
    "hotPoolSelector and coldPoolSelector select the same pools; a pool in two tiers is used in neither",
  ]);
  expect(
    code({ minHealthyShards: 4, stripeSizeBytes: 20_480, journalConfig: { ...code0, replicationFactor: 2 } }).warnings,
  ).toEqual([
    "stripeSizeBytes: 20480 is no multiple of 4 · 4096, so that each stripe is padded",
    "minHealthyShards equals dataShards: a stripe may be committed that bears no loss at all",
    "journalConfig.replicationFactor is 2: an even number bears no more losses than the one below it",
  ]);
  expect(code({ journalConfig: { ...code0, replicationFactor: 1 } }).warnings).toEqual([
    "journalConfig.replicationFactor is 1: writes that are not encoded yet are lost with their node",
  ]);
});
const code0 = erasureCodingPolicySpecSchema.parse({}).journalConfig;

test("an erasure code that can't be is refused field by field, and a good one is what it says", () => {
  const lrc = { algorithm: "LRC" as const, dataShards: 12, parityShards: 4 };
  expect(code({ ...lrc }).problems).toEqual([
    "localGroups: got nothing, algorithm LRC needs it: a divisor of dataShards (12), less than parityShards (4)",
  ]);
  expect(code({ ...lrc, localGroups: 5 }).problems).toEqual([
    "localGroups: got 5, allowed is less than parityShards (4), so that at least one parity shard is global",
    "localGroups: got 5, allowed is a divisor of dataShards (12)",
  ]);
  expect(code({ localGroups: 1 }).problems).toEqual([
    "localGroups: got 1, allowed is nothing with algorithm ReedSolomon",
  ]);
  expect(code({ dataShards: 8, stripeSizeBytes: 4096, minHealthyShards: 11, scrubInterval: "1m" }).problems).toEqual([
    'scrubInterval: got "1m", allowed is 1h to 365d',
    "stripeSizeBytes: got 4096, allowed is at least 4096 for each of 8 data shards (32768)",
    "minHealthyShards: got 11, allowed is dataShards to dataShards + parityShards (8 to 10)",
  ]);
  const good = erasureCodingPolicySpecSchema.parse({ ...lrc, localGroups: 2 });
  expect(codeOfPolicy(good)).toEqual({ family: "lrc", k: 12, l: 2, g: 2 });
  expect(storageEfficiency(good)).toBe(0.75);
  expect(storageEfficiency(erasureCodingPolicySpecSchema.parse({}))).toBe(0.6667);
});

test("selectors select as Kubernetes' do", () => {
  const labels = { tier: "hot", zone: "a" };
  const of = (matchExpressions: unknown) => labelSelectorSchema.parse({ matchExpressions });
  expect(selects({}, {})).toBe(true);
  expect(selects(hot, labels)).toBe(true);
  expect(selects(cold, labels)).toBe(false);
  expect(selects(hot, {})).toBe(false);
  expect(selects(of([{ key: "tier", operator: "In", values: ["hot", "warm"] }]), labels)).toBe(true);
  expect(selects(of([{ key: "rack", operator: "In", values: ["1"] }]), labels)).toBe(false);
  expect(selects(of([{ key: "tier", operator: "NotIn", values: ["hot"] }]), labels)).toBe(false);
  expect(selects(of([{ key: "rack", operator: "NotIn", values: ["1"] }]), labels)).toBe(true);
  expect(
    selects(
      of([
        { key: "zone", operator: "Exists" },
        { key: "rack", operator: "DoesNotExist" },
      ]),
      labels,
    ),
  ).toBe(true);
  expect(selects(of([{ key: "constructor", operator: "Exists" }]), labels)).toBe(false);
  expect(
    formatSelector({
      ...hot,
      ...of([
        { key: "a", operator: "NotIn", values: ["1", "2"] },
        { key: "b", operator: "DoesNotExist" },
      ]),
    }),
  ).toBe("tier=hot,a notin (1,2),!b");
  expect(formatSelector({})).toBe("everything");
});
