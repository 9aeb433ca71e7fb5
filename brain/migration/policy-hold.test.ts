import { expect, setDefaultTimeout, test } from "bun:test";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { storagePolicyKind, storagePolicySpecSchema } from "@couchestor/common/crd/storage-policy.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
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
  expect(await policyHold(dry, journal(of))).toMatchObject({ result: "Superseded", reason: "PolicyDryRun" });
  expect(await policyHold(storeOf({ enabled: false }), journal(of))).toMatchObject({ reason: "PolicyDisabled" });
  expect(await policyHold(storeOf({}), journal(of))).toBeUndefined();
  expect(await policyHold(dry, journal(of, { phase: "Preparing" }))).toBeUndefined();
  expect(await policyHold(dry, journal({ ...of, abort: true }))).toBeUndefined();
  expect(await policyHold(dry, journal(of, {}, { deleting: true }))).toBeUndefined();
  expect(await policyHold(dry, journal({ ...of, policyUid: "2" }))).toBeUndefined();
  expect(await policyHold({ get: async () => undefined }, journal(of))).toBeUndefined();
});

test("a policy that can't be asked holds everything up, and nothing is begun meanwhile", async () => {
  const away = { get: () => Promise.reject(new AppError("Unavailable", "the API server is away")) };
  expect(policyHold(away, journal(of))).rejects.toThrow("the API server is away");
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
