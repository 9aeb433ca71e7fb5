import { expect, test } from "bun:test";
import { keepMigration } from "../operator/kept-migration.ts";
import { migrationSample } from "../testing/crd-samples.ts";
import { activeMove, endedMigration } from "./known-migrations.ts";
import { type EndedMigration, migrationCounts } from "./migration-counts.ts";

const one = (result: string, policyName = "p", policyUid: string | undefined = "u1"): EndedMigration => ({
  policyName,
  policyUid,
  result,
});

test("failures are counted among those that ended; what was called off or overtaken is none", () => {
  const results = ["Succeeded", "Failed", "Aborted", "TimedOut", "Superseded", "Unknown"];
  const counts = migrationCounts(results.map((result) => one(result)));
  expect(counts({ name: "p", uid: "u1" })).toEqual({ total: 6, failed: 3 });
  expect(counts({ name: "q", uid: "u2" })).toEqual({ total: 0, failed: 0 });
});

test("a policy that was made anew under a name begins at nothing, but for those that don't say which it was", () => {
  const counts = migrationCounts([
    one("Failed", "p", "gone"),
    { ...one("Failed"), policyUid: undefined },
    one("Succeeded"),
  ]);
  expect(counts({ name: "p", uid: "u1" })).toEqual({ total: 2, failed: 1 });
  expect(counts({ name: "p" })).toEqual({ total: 1, failed: 1 });
});

test("only what has ended counts as such, and only what a policy decided is a policy's", () => {
  const keep = (phase: string, more: object = {}) => {
    const { spec, status } = migrationSample;
    const kept = keepMigration({
      ...migrationSample,
      spec: { ...spec, ...more },
      status: { ...status, phase },
    } as never);
    return { active: activeMove(kept.known), ended: endedMigration(kept.known), result: kept.result };
  };
  expect(keep("Copying")).toMatchObject({ ended: undefined, active: { policyName: "sample" } });
  const { policyUid = "" } = migrationSample.spec;
  expect(keep("Finished")).toMatchObject({
    ended: { policyName: "sample", policyUid, result: "TimedOut" },
    active: undefined,
  });
  expect(keep("Finished", { policyRef: undefined })).toMatchObject({ ended: undefined, result: "TimedOut" });
});
