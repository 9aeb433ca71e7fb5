import { beforeAll, describe, expect, test } from "bun:test";
import { definitionOf } from "@couchestor/common/crd/definition.ts";
import { definitions } from "@couchestor/common/crd/definitions.ts";
import type { Resource, ResourceKind } from "@couchestor/common/crd/object.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { KubeStore } from "../kube/kube-store.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import * as samples from "../testing/crd-samples.ts";
import { installedControlPlane, installedPrograms, kubectl } from "../testing/installed-plane.ts";
import { testClient } from "../testing/kube-fixture.ts";

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: the definitions on a real API server: ${missing}`);

const api = "/apis/storage.billyronks.io/v1";
type Body = Record<string, unknown>;

describe.skipIf(missing !== undefined)("the definitions on a real API server", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await installedControlPlane();
  }, 180_000);

  const create = (kind: string, plural: string, name: string, spec: Body, dryRun = true): Promise<unknown> =>
    plane.request("POST", `${api}/${plural}?fieldValidation=Strict${dryRun ? "&dryRun=All" : ""}`, {
      apiVersion: "storage.billyronks.io/v1",
      kind,
      metadata: { name },
      spec,
    });
  const refusal = async (work: Promise<unknown>): Promise<string> => {
    const error = await work.then(
      () => new Error("it was accepted"),
      (reason: Error) => reason,
    );
    return error.message;
  };

  test("every definition is stored as it was written: defaults, rules, texts and columns", async () => {
    for (const definition of definitions) {
      const sent = definitionOf(definition);
      const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${sent.metadata.name}`;
      const stored = (await plane.request("GET", path)) as typeof sent;
      expect(stored.spec.versions).toEqual(sent.spec.versions);
      expect(stored.spec.names).toEqual(sent.spec.names);
    }
  });

  test("the server fills in the defaults that the schemas fill in", async () => {
    const empty: Record<string, Body> = {
      StoragePolicy: {},
      ErasureCodingPolicy: {},
      Migration: without(samples.migrationSample.spec, "timeout", "preservationMode", "abort"),
      ECVolume: { ...samples.ecVolumeSample.spec, placement: {} },
    };
    for (const [kind, spec] of Object.entries(empty)) {
      const found = kindOf(kind);
      const made = (await create(kind, found.plural, "defaults", spec)) as { spec: Body };
      expect(made.spec).toEqual(found.spec.parse(spec) as Body);
    }
    const partial = (await create("ErasureCodingPolicy", "erasurecodingpolicies", "partial", {
      journalConfig: { replicationFactor: 5 },
    })) as { spec: Body };
    expect(partial.spec["journalConfig"]).toEqual({
      journalSizeBytes: 10_737_418_240,
      replicationFactor: 5,
      destageThresholdPercent: 80,
      destageInterval: "30s",
    });
  });

  test("a whole object of every kind comes back as it was written, status included", async () => {
    const store = new KubeStore({ client: testClient(plane), clock: systemClock, prng: seededPrng(1) });
    const all = Object.values(samples) as Resource[];
    expect(all.map((sample) => sample.kind).sort()).toEqual(definitions.map(({ kind }) => kind.kind).sort());
    for (const sample of all) {
      const kind = kindOf(sample.kind);
      await store.create(kind, sample);
      const read = (await plane.request("GET", `${api}/${kind.plural}/${sample.metadata.name}`)) as Resource;
      expect({ kind: kind.kind, spec: read.spec, status: read.status }).toEqual({
        kind: kind.kind,
        spec: sample.spec,
        status: sample.status,
      });
      await store.delete(kind, sample.metadata.name);
    }
  });

  const refused: [string, string, Body, string][] = [
    [
      "StoragePolicy",
      "storagepolicies",
      { lowWatermarkIOPS: 6000 },
      "lowWatermarkIOPS: got 6000, allowed is less than highWatermarkIOPS (5000)",
    ],
    [
      "StoragePolicy",
      "storagepolicies",
      { warmWatermarkIOPS: 5000 },
      "warmWatermarkIOPS: got 5000, allowed is 0 (two tiers), or more than lowWatermarkIOPS (500) and less than highWatermarkIOPS (5000)",
    ],
    [
      "StoragePolicy",
      "storagepolicies",
      { samplingWindow: "1 hour" },
      'spec.samplingWindow: Invalid value: \\"1 hour\\": must be a duration such as',
    ],
    [
      "StoragePolicy",
      "storagepolicies",
      { maxConcurrentMigrations: 0 },
      "spec.maxConcurrentMigrations in body should be greater than or equal to 1",
    ],
    [
      "StoragePolicy",
      "storagepolicies",
      { volumeSelector: { matchExpressions: [{ key: "a", operator: "In" }] } },
      "matchExpressions: values: needed with operator In or NotIn",
    ],
    [
      "StoragePolicy",
      "storagepolicies",
      { hotPoolSelector: { matchExpressions: [{ key: "a", operator: "Like" }] } },
      "supported values",
    ],
    ["StoragePolicy", "storagepolicies", { highWatermark: 1 }, 'unknown field \\"spec.highWatermark\\"'],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { dataShards: 33 },
      "spec.dataShards in body should be less than or equal to 32",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { parityShards: 0 },
      "spec.parityShards in body should be greater than or equal to 1",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { stripeSizeBytes: 8192 },
      "stripeSizeBytes: got 8192, allowed is at least 4096 for each data shard",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { algorithm: "LRC" },
      "localGroups: allowed is 1 to 15, and it is required with algorithm LRC",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { localGroups: 1 },
      "localGroups: allowed is nothing with algorithm ReedSolomon",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { algorithm: "LRC", localGroups: 2, parityShards: 2 },
      "localGroups: got 2, allowed is less than parityShards, so that at least one parity shard is global",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { algorithm: "LRC", localGroups: 3, parityShards: 4 },
      "localGroups: got 3, allowed is a divisor of dataShards",
    ],
    [
      "ErasureCodingPolicy",
      "erasurecodingpolicies",
      { minHealthyShards: 3 },
      "minHealthyShards: got 3, allowed is dataShards to dataShards + parityShards",
    ],
    [
      "ECVolume",
      "ecvolumes",
      { ...samples.ecVolumeSample.spec, code: { family: "rs", k: 4, m: 2, n: 3 } },
      "family rs needs k, m and takes no",
    ],
    [
      "ECVolume",
      "ecvolumes",
      { ...samples.ecVolumeSample.spec, code: { family: "lrc", k: 4, l: 2 } },
      "family lrc needs k, l, g",
    ],
    [
      "Migration",
      "migrations",
      { ...samples.migrationSample.spec, toTier: "cold" },
      "toTier: allowed is another tier than fromTier",
    ],
  ];
  for (const [kind, plural, spec, message] of refused) {
    test(`refused with a message that names the field: ${message.slice(0, 70)}`, async () => {
      expect(await refusal(create(kind, plural, "refused", spec))).toContain(message);
    });
  }

  test("what volumes were encoded with, an identity and a move under way never change", async () => {
    const immutable: [Resource, Body, string | undefined][] = [
      [samples.erasureCodingPolicySample, { dataShards: 10 }, "dataShards: got 10, allowed is only what it was"],
      [samples.erasureCodingPolicySample, { parityShards: 5 }, "parityShards: got 5, allowed is only what it was"],
      [
        samples.erasureCodingPolicySample,
        { stripeSizeBytes: 2 ** 20 },
        "stripeSizeBytes: got 1048576, allowed is only what it was",
      ],
      [
        samples.erasureCodingPolicySample,
        { algorithm: "ReedSolomon" },
        "algorithm: got ReedSolomon, allowed is only what it was",
      ],
      [samples.erasureCodingPolicySample, { localGroups: 1 }, "localGroups: allowed is only what it was"],
      [samples.erasureCodingPolicySample, { scrubInterval: "1d", minHealthyShards: 13 }, undefined],
      [
        samples.clusterSample,
        { clusterUuid: "11111111-1111-1111-1111-111111111111" },
        "clusterUuid: allowed is only what it was",
      ],
      [samples.migrationSample, { toTier: "warm" }, "allowed to change is only abort"],
      [samples.migrationSample, { replicas: [] }, "allowed to change is only abort"],
      [samples.migrationSample, { abort: true }, undefined],
    ];
    for (const [sample, change, message] of immutable) {
      const { plural } = kindOf(sample.kind);
      const path = `${api}/${plural}/${sample.metadata.name}`;
      await create(sample.kind, plural, sample.metadata.name, sample.spec as Body, false).catch((error: Error) => {
        if (!error.message.includes("AlreadyExists")) throw error;
      });
      const patch = () => plane.request("PATCH", path, { spec: change }, "application/merge-patch+json");
      if (message === undefined) await patch();
      else expect(await refusal(patch())).toContain(message);
    }
    const back = { spec: { abort: false } };
    const path = `${api}/migrations/${samples.migrationSample.metadata.name}`;
    const again = plane.request("PATCH", path, back, "application/merge-patch+json");
    expect(await refusal(again)).toContain("what has been called off is not taken up again");
    for (const sample of [samples.erasureCodingPolicySample, samples.clusterSample, samples.migrationSample]) {
      const { plural } = kindOf(sample.kind);
      await plane.request("DELETE", `${api}/${plural}/${sample.metadata.name}`);
    }
  });

  test("kubectl explain has a text for every field, and get shows the columns, also by category", async () => {
    const explained = await kubectl(plane, ["explain", "sp", "--recursive"]);
    expect(explained.text).toContain("ecMinVolumeSizeBytes");
    const field = await kubectl(plane, ["explain", "ecp.spec.localGroups"]);
    expect(field.text).toContain("LRC only, and required there");
    const text = JSON.stringify({ ...samples.storagePolicySample, status: undefined });
    expect((await kubectl(plane, ["apply", "-f", "-"], text)).code).toBe(0);
    const listed = await kubectl(plane, ["get", "spolicy"]);
    expect(listed.text).toMatch(/NAME +HIGH IOPS +LOW IOPS +PHASE +WATCHED +MIGRATIONS +AGE\nsample +8000 +300 +/);
    const category = await kubectl(plane, ["get", "couchestor", "-o", "name"]);
    expect(category.text).toContain("storagepolicy.storage.billyronks.io/sample");
    await kubectl(plane, ["delete", "sp", "sample"]);
  }, 180_000);
});

function kindOf(name: string): ResourceKind {
  const found = definitions.find(({ kind }) => kind.kind === name);
  if (found === undefined) throw new Error(`no kind ${name}`);
  return found.kind;
}

function without(spec: object, ...names: string[]): Body {
  return Object.fromEntries(Object.entries(spec).filter(([name]) => !names.includes(name)));
}
