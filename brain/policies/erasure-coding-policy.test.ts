import { beforeAll, describe, expect, test } from "bun:test";
import { type EcStripe, ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import {
  type ErasureCodingPolicy,
  type ErasureCodingPolicySpec,
  erasureCodingPolicyKind,
  erasureCodingPolicySpecSchema,
} from "@couchestor/common/crd/erasure-coding-policy.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { Informer } from "../kube/informer.ts";
import { KubeStore, objectTypeOf } from "../kube/kube-store.ts";
import type { ResourceStore } from "../store/ports.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { ecStripeSample, ecVolumeSample } from "../testing/crd-samples.ts";
import { installedControlPlane, installedPrograms } from "../testing/installed-plane.ts";
import { testClient } from "../testing/kube-fixture.ts";
import { until } from "../testing/processes.ts";
import { erasureCodingPolicyController, erasureCodingPolicyReconcile } from "./erasure-coding-policy-controller.ts";
import { erasureCodingPolicyStatus } from "./erasure-coding-policy-status.ts";
import { keepStripe, keepVolume, keepWhole, NamePool } from "./kept.ts";
import { type StripeState, StripeTally } from "./stripe-tally.ts";

const now = "2026-01-02T03:04:05.678Z";
const later = "2026-01-02T03:05:05.678Z";
const none = {
  activeVolumes: 0,
  totalStripes: 0,
  healthyStripes: 0,
  degradedStripes: 0,
  rebuildingStripes: 0,
  failedStripes: 0,
};

function policyOf(name: string, fields: Partial<ErasureCodingPolicySpec> = {}, generation = 1): ErasureCodingPolicy {
  const spec = erasureCodingPolicySpecSchema.parse(fields);
  return { apiVersion, kind: "ErasureCodingPolicy", metadata: { name, generation, resourceVersion: "1" }, spec };
}

describe("status", () => {
  test("a good policy is Ready, says what it is good for, and is left alone from then on", () => {
    const policy = policyOf("p");
    const change = erasureCodingPolicyStatus(policy, none, now);
    expect(change).toMatchObject({
      urgency: "now",
      status: {
        phase: "Ready",
        storageEfficiency: 0.6667,
        lastValidationTime: now,
        message: "4+2: any 2 of 6 shards may be lost; 66.7 % of what is stored is data",
      },
    });
    const written = { ...policy, status: change?.status } as ErasureCodingPolicy;
    expect(erasureCodingPolicyStatus(written, none, later)).toBeUndefined();
  });

  test("an impossible one is Invalid with the field, what came and what is allowed", () => {
    const change = erasureCodingPolicyStatus(policyOf("p", { minHealthyShards: 3 }), none, now);
    const message = "minHealthyShards: got 3, allowed is dataShards to dataShards + parityShards (4 to 6)";
    expect(change?.status).toMatchObject({ phase: "Invalid", message });
    expect(change?.status.storageEfficiency).toBeUndefined();
    expect(change?.status.conditions?.find(({ type }) => type === "Ready")).toMatchObject({ status: "False", message });
  });

  test("the first volume and the first lost shard are told now, more of the same soon", () => {
    const policy = policyOf("p");
    const at = (counts: Partial<typeof none>) => ({ ...none, ...counts });
    const step = (counts: Partial<typeof none>) => {
      const change = erasureCodingPolicyStatus(policy, at(counts), later);
      if (change !== undefined) policy.status = change.status;
      return change;
    };
    step({});
    expect(step({ activeVolumes: 1, totalStripes: 10, healthyStripes: 10 })).toMatchObject({
      urgency: "now",
      status: { phase: "Active" },
    });
    expect(step({ activeVolumes: 2, totalStripes: 20, healthyStripes: 20 })).toMatchObject({ urgency: "soon" });
    expect(step({ activeVolumes: 2, totalStripes: 20, healthyStripes: 19, degradedStripes: 1 })).toMatchObject({
      urgency: "now",
    });
    expect(step({ activeVolumes: 2, totalStripes: 20, healthyStripes: 9, degradedStripes: 11 })).toMatchObject({
      urgency: "soon",
    });
    const failed = step({ activeVolumes: 2, totalStripes: 20, degradedStripes: 20, failedStripes: 1 });
    expect(failed).toMatchObject({ urgency: "now" });
    expect(failed?.status.conditions?.find(({ type }) => type === "Degraded")).toMatchObject({
      reason: "StripesFailed",
    });
    policy.metadata.generation = 2;
    expect(step({ activeVolumes: 2, totalStripes: 20, degradedStripes: 20, failedStripes: 1 })).toMatchObject({
      urgency: "now",
      status: { observedGeneration: 2, lastValidationTime: later },
    });
  });
});

describe("tally", () => {
  const volume = (name: string, policyRef?: string) => ({ metadata: { name }, policyRef });
  const stripe = (name: string, volumeRef: string, state: StripeState) => ({ metadata: { name }, volumeRef, state });

  test("whatever the order in which things come, the counts are those of a recount", () => {
    const prng = seededPrng(4);
    const states: StripeState[] = ["Unwritten", "Writing", "Healthy", "Degraded", "Rebuilding", "Failed"];
    const tally = new StripeTally();
    const volumes = new Map<string, string | undefined>();
    const stripes = new Map<string, { volumeRef: string; state: StripeState }>();
    const pick = <T>(of: readonly T[]): T => of[Math.floor(prng.float() * of.length)] as T;
    for (let i = 0; i < 5_000; i++) {
      const name = `v${Math.floor(prng.float() * 6)}`;
      const part = `${name}-${Math.floor(prng.float() * 8)}`;
      const what = prng.float();
      if (what < 0.15) {
        const policyRef = pick(["a", "b", undefined]);
        volumes.set(name, policyRef);
        tally.setVolume(volume(name, policyRef));
      } else if (what < 0.25) {
        volumes.delete(name);
        tally.removeVolume(name);
      } else if (what < 0.8) {
        const state = pick(states);
        stripes.set(part, { volumeRef: name, state });
        tally.setStripe(stripe(part, name, state));
      } else {
        stripes.delete(part);
        tally.removeStripe(part);
      }
      if (i % 50 !== 0) continue;
      for (const policy of ["a", "b"]) {
        const own = [...volumes].filter(([, ref]) => ref === policy).map(([of]) => of);
        const its = [...stripes.values()].filter(({ volumeRef }) => own.includes(volumeRef));
        const count = (...of: StripeState[]) => its.filter(({ state }) => of.includes(state)).length;
        expect(tally.countsOf(policy)).toEqual({
          activeVolumes: own.length,
          totalStripes: its.length,
          healthyStripes: count("Unwritten", "Writing", "Healthy"),
          degradedStripes: count("Degraded", "Failed"),
          rebuildingStripes: count("Rebuilding"),
          failedStripes: count("Failed"),
        });
      }
      const all = [...tally.totals().values()].reduce((sum, count) => sum + count, 0);
      expect(all).toBe(stripes.size);
    }
  });
});

test("counts that move all the time are written once in the interval; transitions at once", async () => {
  const clock = new FakeClock();
  const policy = policyOf("p");
  const tally = new StripeTally();
  let writes = 0;
  const store = {
    updateStatus: async (_kind: unknown, object: ErasureCodingPolicy) => {
      writes += 1;
      policy.status = object.status;
      return object;
    },
  } as unknown as ResourceStore;
  const policies = { get: () => policy, values: () => [policy], addHandler() {}, whenSynced: Promise.resolve() };
  const reconcile = erasureCodingPolicyReconcile({ store, policies, tally, clock, countsEveryMs: 10_000 });
  const look = () => reconcile("p", { signal: new AbortController().signal, failures: 0 });
  tally.setVolume({ metadata: { name: "v" }, policyRef: "p" });
  await look();
  expect(writes).toBe(1);
  for (let i = 0; i < 1_000; i++) {
    tally.setStripe({ metadata: { name: `v-${i}` }, volumeRef: "v", state: "Healthy" });
    expect(await look()).toEqual({ requeueAfterMs: 10_000 });
  }
  expect(writes).toBe(1);
  await clock.advance(10_000);
  await look();
  expect([writes, policy.status?.totalStripes]).toEqual([2, 1_000]);
  tally.setStripe({ metadata: { name: "v-1" }, volumeRef: "v", state: "Failed" });
  await look();
  expect([writes, policy.status?.degradedStripes]).toEqual([3, 1]);
});

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: ErasureCodingPolicies on a real API server: ${missing}`);

describe.skipIf(missing !== undefined)("on a real API server", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await installedControlPlane();
  }, 180_000);

  test("a policy's status follows its volumes' stripes with a few writes, and rests afterwards", async () => {
    let writes = 0;
    const client = testClient(plane, "admin", {
      onAttempt: ({ method, path }) => {
        if (method === "PUT" && path.includes("erasurecodingpolicies")) writes += 1;
      },
    });
    const base = { client, clock: systemClock, prng: seededPrng(3), logger: silentLogger() };
    const store = new KubeStore(base);
    const names = new NamePool();
    const policies = new Informer(base, {
      type: objectTypeOf(erasureCodingPolicyKind),
      keep: keepWhole<ErasureCodingPolicy>(),
    });
    const volumes = new Informer(base, { type: objectTypeOf(ecVolumeKind), keep: keepVolume(names) });
    const stripes = new Informer(base, { type: objectTypeOf(ecStripeKind), keep: keepStripe(names) });
    const parts = {
      store,
      policies,
      volumes,
      stripes,
      tally: new StripeTally(),
      clock: systemClock,
      countsEveryMs: 500,
    };
    const controller = erasureCodingPolicyController(base, parts);
    for (const part of [policies, volumes, stripes, controller]) part.start();
    const status = async () => (await store.get(erasureCodingPolicyKind, "counted"))?.status;
    const startMs = systemClock.monotonicMs();
    try {
      await store.create(erasureCodingPolicyKind, { ...policyOf("counted"), metadata: { name: "counted" } });
      await until("it is Ready", async () => (await status())?.phase === "Ready");
      await store.create(ecVolumeKind, {
        ...ecVolumeSample,
        metadata: { name: "counted" },
        spec: { ...ecVolumeSample.spec, policyRef: "counted" },
      });
      const count = 300;
      const made = Array.from({ length: count }, (_, i) => stripeOf(i, i % 3 === 0 ? "Degraded" : "Healthy"));
      const stored = await Promise.all(made.map((object) => store.create(ecStripeKind, object)));
      await until("all are counted", async () => (await status())?.degradedStripes === count / 3);
      expect(await status()).toMatchObject({
        phase: "Active",
        activeVolumes: 1,
        healthyStripes: 200,
        degradedStripes: 100,
      });
      await Promise.all(
        stored
          .slice(0, 90)
          .map((object) => store.updateStatus(ecStripeKind, { ...object, status: stripeOf(0, "Healthy").status })),
      );
      await until("the repair is seen", async () => (await status())?.healthyStripes === 230);
      // Not one for each stripe: the first of each state, and then twice a second.
      expect(writes).toBeLessThan(20 + (systemClock.monotonicMs() - startMs) / parts.countsEveryMs);
      // A status may be read here before its writer has heard that it is written.
      await until("nothing is written any more", async () => {
        const before = writes;
        await systemClock.sleep(700);
        return writes === before;
      });
    } finally {
      for (const part of [controller, policies, volumes, stripes]) await part.stop();
      await plane.request("DELETE", "/apis/storage.billyronks.io/v1/ecstripes");
      await plane.request("DELETE", "/apis/storage.billyronks.io/v1/ecvolumes");
      await plane.request("DELETE", "/apis/storage.billyronks.io/v1/erasurecodingpolicies");
    }
  }, 180_000);
});

function stripeOf(number: number, state: StripeState): EcStripe {
  const name = `counted-${String(number).padStart(10, "0")}`;
  const status = { state, missingShards: state === "Healthy" ? [] : [1], observedEpoch: 0, observedSeq: 0 };
  return { ...ecStripeSample, metadata: { name }, spec: { ...ecStripeSample.spec, volumeRef: "counted" }, status };
}
