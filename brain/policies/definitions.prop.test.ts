import { beforeAll, describe, expect, test } from "bun:test";
import { erasureCodingPolicyKind } from "@couchestor/common/crd/erasure-coding-policy.ts";
import { storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import fc from "fast-check";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { installedControlPlane, installedPrograms } from "../testing/installed-plane.ts";
import { validateErasureCodingPolicy } from "./validate-erasure-coding-policy.ts";
import { validateStoragePolicy } from "./validate-storage-policy.ts";

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: rules against the validation in code: ${missing}`);

const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined, freq: 3 });
const watermark = fc.oneof(fc.integer({ min: 0, max: 4 }), fc.constantFrom(-1, 500, 2000, 5000, 1_000_000_001));
const duration = fc.constantFrom("0", "5m", "1h30m", "1.5h", "2d", "", "5", "x", "-1h", "1h ", "1hh", "1 h");
const expression = fc.record({
  key: fc.constantFrom("tier", "a/b", ""),
  operator: fc.constantFrom("In", "NotIn", "Exists", "DoesNotExist"),
  values: maybe(fc.array(fc.constantFrom("x", "y"), { maxLength: 2 })),
});
const storagePolicies = fc.record({
  highWatermarkIOPS: maybe(watermark),
  warmWatermarkIOPS: maybe(watermark),
  lowWatermarkIOPS: maybe(watermark),
  cooldownPeriod: maybe(duration),
  volumeSelector: maybe(fc.record({ matchExpressions: fc.array(expression, { maxLength: 2 }) })),
  maxConcurrentMigrations: maybe(fc.integer({ min: 0, max: 101 })),
});
const shards = fc.integer({ min: 0, max: 13 });
const erasureCodingPolicies = fc.record({
  dataShards: maybe(shards),
  parityShards: maybe(shards),
  stripeSizeBytes: maybe(fc.constantFrom(4096, 8192, 5000, 65_536, 2 ** 20)),
  algorithm: maybe(fc.constantFrom("ReedSolomon", "LRC", "Other")),
  localGroups: maybe(shards),
  minHealthyShards: maybe(shards),
});

describe.skipIf(missing !== undefined)(
  "the API server accepts what the validation in code accepts, and nothing else",
  () => {
    let plane: ControlPlane;
    beforeAll(async () => {
      plane = await installedControlPlane();
    }, 180_000);

    const accepts = async (kind: string, plural: string, spec: object): Promise<boolean> => {
      const response = await fetch(`${plane.server}/apis/storage.billyronks.io/v1/${plural}?dryRun=All`, {
        method: "POST",
        headers: { authorization: `Bearer ${plane.token()}`, "content-type": "application/json" },
        body: JSON.stringify({ apiVersion: "storage.billyronks.io/v1", kind, metadata: { name: "random" }, spec }),
        tls: { ca: plane.authority.cert },
      });
      await response.body?.cancel();
      if (response.status !== 201 && response.status !== 422) throw new Error(`status ${response.status}`);
      return response.ok;
    };
    const options = { numRuns: 300, seed: 20_261 };

    test("StoragePolicy", async () => {
      let good = 0;
      const property = fc.asyncProperty(storagePolicies, async (spec) => {
        const parsed = storagePolicyKind.spec.safeParse(JSON.parse(JSON.stringify(spec)));
        const mine = parsed.success && validateStoragePolicy(parsed.data).problems.length === 0;
        if (mine) good += 1;
        expect(await accepts("StoragePolicy", "storagepolicies", spec)).toBe(mine);
      });
      await fc.assert(property, options);
      expect(good).toBeGreaterThan(10);
    }, 180_000);

    test("ErasureCodingPolicy", async () => {
      let good = 0;
      const property = fc.asyncProperty(erasureCodingPolicies, async (spec) => {
        const parsed = erasureCodingPolicyKind.spec.safeParse(JSON.parse(JSON.stringify(spec)));
        const mine = parsed.success && validateErasureCodingPolicy(parsed.data).problems.length === 0;
        if (mine) good += 1;
        expect(await accepts("ErasureCodingPolicy", "erasurecodingpolicies", spec)).toBe(mine);
      });
      await fc.assert(property, options);
      expect(good).toBeGreaterThan(10);
    }, 180_000);
  },
);
