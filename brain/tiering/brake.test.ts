import { expect, test } from "bun:test";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { type StoragePolicy, storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { brakeOf, resumeAnnotation } from "./brake.ts";
import type { KnownMigration } from "./known-migrations.ts";
import { sampleNowMs } from "./testing/decision-samples.ts";
import { sampleEnd, sampleMigration } from "./testing/migration-samples.ts";

const minuteMs = 60_000;

function policy(
  more: { annotations?: Record<string, string>; generation?: number; limit?: number } = {},
): StoragePolicy {
  const { annotations = {}, generation = 1, limit = 3 } = more;
  const metadata = { name: "p", uid: "u", generation, annotations };
  return {
    apiVersion,
    kind: "StoragePolicy",
    metadata,
    spec: storagePolicySpecSchema.parse({ pauseAfterFailures: limit }),
  };
}

/** Newest first, a minute apart. */
const ends = (...results: string[]): KnownMigration[] =>
  results.map((result, i) => sampleMigration(`m${i}`, { policyGeneration: 1, end: sampleEnd(result, i * minuteMs) }));

test("three failures in a row pause a policy, and say how to resume it", () => {
  expect(brakeOf(policy(), ends("Failed", "TimedOut"))).toBeUndefined();
  expect(brakeOf(policy(), ends("Failed", "Succeeded", "Failed", "Failed"))).toBeUndefined();
  const block = brakeOf(policy(), ends("Failed", "TimedOut", "Failed", "Succeeded"));
  expect(block).toMatchObject({ action: "wait", reason: "Paused" });
  expect(block?.message).toContain(
    "3 migrations in a row have failed, the last one (m0) with RebuildFailed: what happened",
  );
  expect(block?.message).toContain(`kubectl annotate sp p --overwrite ${resumeAnnotation}=`);
});

test("what was called off, overtaken, refused at the outset or is another policy's counts for nothing", () => {
  const refused = sampleMigration("r", { end: sampleEnd("Failed", 0, { untouched: true }) });
  const others = sampleMigration("o", { policyUid: "another", end: sampleEnd("Failed") });
  const all = [refused, others, ...ends("Aborted", "Failed", "Superseded", "Failed")];
  expect(brakeOf(policy(), all)).toBeUndefined();
  expect(brakeOf(policy({ limit: 2 }), all)).toMatchObject({ reason: "Paused" });
});

test("it ends with the annotation, with another spec, and never begins with 0", () => {
  const failed = ends("Failed", "Failed", "Failed");
  const at = (ms: number) => ({ [resumeAnnotation]: new Date(ms).toISOString() });
  expect(brakeOf(policy({ annotations: at(sampleNowMs + 1) }), failed)).toBeUndefined();
  expect(brakeOf(policy({ annotations: at(sampleNowMs - 10 * minuteMs) }), failed)).toBeDefined();
  expect(brakeOf(policy({ annotations: { [resumeAnnotation]: "yes" } }), failed)).toBeDefined();
  expect(brakeOf(policy({ generation: 2 }), failed)).toBeUndefined();
  expect(brakeOf(policy({ limit: 0 }), failed)).toBeUndefined();
});
