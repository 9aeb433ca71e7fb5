import { expect, setDefaultTimeout, test } from "bun:test";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import {
  type StoragePolicy,
  storagePolicyKind,
  storagePolicySpecSchema,
} from "@couchestor/common/crd/storage-policy.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { KnownMigration } from "../tiering/known-migrations.ts";
import { whyNotBegin } from "../tiering/policy-input.ts";
import { sampleEnd, sampleMigration } from "../tiering/testing/migration-samples.ts";
import { begin, emptyStatus, ended, hold, type Journal } from "./journal.ts";
import { policyHold } from "./policy-hold.ts";
import { Lab } from "./testing/lab.ts";
import { journal, spec as specOf } from "./testing/samples.ts";

// Hours of virtual time take seconds of a busy machine's.
setDefaultTimeout(30_000);

const policyOf = (spec: object) => ({
  apiVersion,
  kind: "StoragePolicy",
  metadata: { name: "gold", uid: "1" },
  spec: storagePolicySpecSchema.parse(spec),
});
const storeOf = (spec: object) => ({ get: async () => policyOf(spec) as never });
const of = specOf([], ["cold-3"], { policyRef: "gold", policyUid: "1" });

test("only what has not begun, and isn't called off, is held back, and only by its own policy", async () => {
  const dry = storeOf({ dryRun: true });
  const held = (journalOf: Journal, store = dry) => policyHold({ store }, journalOf);
  expect(await held(journal(of))).toMatchObject({ result: "Superseded", reason: "PolicyDryRun" });
  expect(await held(journal(of), storeOf({ enabled: false }))).toMatchObject({ reason: "PolicyDisabled" });
  expect(await held(journal(of), storeOf({}))).toBeUndefined();
  expect(await held(journal({ ...of, abort: true }))).toBeUndefined();
  expect(await held(journal(of, {}, { deleting: true }))).toBeUndefined();
  expect(await held(journal(of, { ending: { result: "TimedOut", reason: "Timeout", message: "" } }))).toBeUndefined();
});

test("what has looked and waits for its turn has not begun; what has set or changed anything has", async () => {
  const dry = { store: storeOf({ dryRun: true }) };
  const at = "2026-01-01T00:00:00.000Z";
  const looked = ended(begin({ ...emptyStatus, phase: "Preparing" }, "Preflight", {}, at), "Done", at);
  expect(await policyHold(dry, journal(of, looked))).toMatchObject({ reason: "PolicyDryRun" });
  const cordon = { kind: "PoolCordon" as const, target: "hot-2", detail: "replicas" };
  expect(await policyHold(dry, journal(of, begin(looked, "SteerPlacement", {}, at)))).toBeUndefined();
  expect(await policyHold(dry, journal(of, hold(looked, cordon, "Intended")))).toBeUndefined();
  expect(await policyHold(dry, journal(of, { ...looked, stepsDropped: 1 }))).toBeUndefined();
});

test("a policy that is gone, or going, wants nothing; one of its name that came later has no say; one that never was has none", async () => {
  const gone = { get: async () => undefined };
  const going = { ...policyOf({}), metadata: { name: "gold", uid: "1", deletionTimestamp: "2026-01-01T00:00:00Z" } };
  for (const store of [gone, { get: async () => going as never }])
    expect(await policyHold({ store }, journal(of))).toMatchObject({ result: "Superseded", reason: "PolicyDeleted" });
  expect(await policyHold({ store: storeOf({}) }, journal({ ...of, policyUid: "2" }))).toMatchObject({
    reason: "PolicyDeleted",
  });
  const { policyUid: _, ...byHand } = of;
  expect(await policyHold({ store: gone }, journal(byHand))).toBeUndefined();
});

test("a policy that may begin nothing now ends what has not begun, and says when it may", async () => {
  const deps = (spec: object, migrations: KnownMigration[] = []) => ({
    store: storeOf(spec),
    whyNotBegin: (policy: StoragePolicy) => whyNotBegin(policy, migrations, Date.parse("2026-01-01T12:00:00Z")),
  });
  const schedule = (cron: string) => ({ schedule: { cron, duration: "1h", timeZone: "UTC" } });
  expect(await policyHold(deps(schedule("0 1 * * *")), journal(of))).toMatchObject({
    result: "Superseded",
    reason: "OutsideWindow",
    message: expect.stringContaining("opens at 2026-01-02T01:00:00.000Z"),
  });
  expect(await policyHold(deps(schedule("30 11 * * *")), journal(of))).toBeUndefined();
  expect(await policyHold(deps(schedule("no cron at all x")), journal(of))).toMatchObject({ reason: "PolicyInvalid" });
  const failed = sampleMigration("bad", { policyName: "gold", policyUid: "1", end: sampleEnd("Failed") });
  expect(await policyHold(deps({ pauseAfterFailures: 1 }, [failed]), journal(of))).toMatchObject({ reason: "Paused" });
  expect(await policyHold(deps({ pauseAfterFailures: 2 }, [failed]), journal(of))).toBeUndefined();
});

test("a policy that can't be asked holds everything up, and nothing is begun meanwhile", async () => {
  const away = { get: () => Promise.reject(new AppError("Unavailable", "the API server is away")) };
  await expect(policyHold({ store: away }, journal(of))).rejects.toThrow("the API server is away");
});

test("a policy that is set to dryRun ends what has not begun, without a change at the control plane; what has begun goes on", async () => {
  const lab = new Lab().pools("hot", [1, 2]).pools("cold", [3, 4]);
  const { store } = lab.world;
  const waits = lab.volume(["hot-2"]);
  const begun = lab.volume(["hot-1"]);
  await store.create(storagePolicyKind, policyOf({}) as never);
  await lab.begin(lab.spec(begun, "hot", "cold", { policyRef: "gold" }));
  await lab.until("it has begun", ({ phase }) => phase === "Copying");
  const policy = await store.get(storagePolicyKind, "gold");
  if (policy === undefined) throw new Error("the policy is gone");
  await store.update(storagePolicyKind, { ...policy, spec: { ...policy.spec, dryRun: true } });
  const writes = lab.world.plane.writes;
  await lab.begin(lab.spec(waits, "hot", "cold", { policyRef: "gold" }), 0, "late");
  await lab.world.clock.pass(1_000);
  expect(lab.status("late").outcome).toMatchObject({ result: "Superseded", reason: "PolicyDryRun" });
  expect([lab.status("late").steps, lab.world.plane.writes]).toEqual([[], writes]);
  expect((await lab.end()).outcome?.result).toBe("Succeeded");
  expect([lab.where(waits), lab.where(begun).length, lab.cordons, lab.violations]).toEqual([["hot-2"], 1, [], []]);
});
