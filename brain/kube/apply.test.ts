import { beforeAll, describe, expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { expectCode } from "../store/conformance-objects.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { testClient } from "../testing/kube-fixture.ts";
import { type ApplyDeps, applyAll, applyObject, lostFields, manifestsOf } from "./apply.ts";
import { Discovery } from "./discovery.ts";
import type { KubeObject } from "./objects.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: server-side apply: ${missing}`);

/** With everything that typed models have been seen to drop: defaults, x-kubernetes-*, rules. */
const yaml = `
apiVersion: apply.test/v1
kind: Widget
metadata: { name: one }
spec: { size: 3, mode: fast }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: applied, namespace: apply-test }
data: { a: "1" }
---
apiVersion: v1
kind: Namespace
metadata: { name: apply-test }
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: widgets.apply.test }
spec:
  group: apply.test
  scope: Cluster
  names: { kind: Widget, plural: widgets, singular: widget, shortNames: [wd], categories: [testing] }
  versions:
    - name: v1
      served: true
      storage: true
      subresources: { status: {} }
      additionalPrinterColumns: [{ name: Size, type: integer, jsonPath: .spec.size }]
      schema:
        openAPIV3Schema:
          type: object
          description: A widget.
          properties:
            spec:
              type: object
              x-kubernetes-validations: [{ rule: "self.size < 100", message: "size must be under 100" }]
              properties:
                size: { type: integer, default: 7 }
                mode: { type: string, enum: [fast, slow], default: slow }
                quantity: { x-kubernetes-int-or-string: true }
                extra: { type: object, x-kubernetes-preserve-unknown-fields: true }
            status: { type: object, x-kubernetes-preserve-unknown-fields: true }
`;

describe.skipIf(missing !== undefined)("at a real API server", () => {
  let plane: ControlPlane;
  let deps: ApplyDeps;
  beforeAll(async () => {
    plane = await sharedControlPlane();
    const client = testClient(plane);
    deps = { client, discovery: new Discovery(client), clock: systemClock };
  }, 180_000);

  const widget = (spec: unknown, name = "two"): KubeObject & { spec: unknown } => ({
    apiVersion: "apply.test/v1",
    kind: "Widget",
    metadata: { name },
    spec,
  });

  test("definitions and namespaces come first, and every field is stored as it was written", async () => {
    const objects = manifestsOf(yaml, "the manifest");
    const applied = await applyAll(deps, objects);
    expect(applied.map((object) => object.kind).sort()).toEqual([
      "ConfigMap",
      "CustomResourceDefinition",
      "Namespace",
      "Widget",
    ]);
    const path = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/widgets.apply.test";
    const stored = (await plane.request("GET", path)) as { spec: { versions: unknown[] } };
    const definition = objects.find((object) => object.kind === "CustomResourceDefinition") as unknown as typeof stored;
    expect(stored.spec.versions).toEqual(definition.spec.versions);
    // And the defaults are at work.
    expect((await applyObject(deps, widget({}))) as unknown).toMatchObject({ spec: { size: 7, mode: "slow" } });
    // Again changes nothing. (Between the first and the second the API server wrote status.)
    const versions = async () => (await applyAll(deps, objects)).map((object) => object.metadata.resourceVersion);
    expect(await versions()).toEqual(await versions());
  });

  test("what the schema refuses is named, an unknown field too", async () => {
    const refused = await expectCode(applyObject(deps, widget({ size: 200 })), "InvalidArgument");
    expect(refused.message).toContain("size must be under 100");
    const unknown = await expectCode(applyObject(deps, widget({ colour: "red" })), "InvalidArgument").catch(
      (error: unknown) => error as Error,
    );
    expect(unknown.message).toContain("colour");
  });

  test("a dry run stores nothing", async () => {
    await applyObject(deps, widget({}, "dry"), { dryRun: true });
    expect(
      await deps.client.get(await deps.discovery.typeOf("apply.test/v1", "Widget"), { name: "dry" }),
    ).toBeUndefined();
  });

  test("a kind that nobody serves is NotFound", async () => {
    const error = await expectCode(applyObject(deps, { ...widget({}), kind: "Gadget" }), "NotFound");
    expect(error.message).toContain("Gadget");
    await expectCode(applyObject(deps, { ...widget({}), apiVersion: "nobody.test/v1" }), "NotFound");
  });
});

describe("what was sent and is not there", () => {
  test("is found at any depth, whatever order lists have", () => {
    expect(lostFields({ a: { b: [{ c: 1, d: 2 }] } }, { a: { b: [{ c: 1 }] } })).toEqual(["a.b[0].d"]);
    expect(lostFields({ a: [{ n: 1 }, { m: 2 }] }, { a: [{ m: 2 }, { n: 1 }] })).toEqual([]);
    expect(lostFields({ a: { default: 5 } }, { a: {} })).toEqual(["a.default"]);
    expect(lostFields({ a: [1, 2] }, { a: [1] })).toEqual(["a"]);
  });

  test("empty values and other ways to write one are no loss", () => {
    expect(lostFields({ a: {}, b: [], c: null, d: "", cpu: "1000m" }, { cpu: "1", more: true })).toEqual([]);
  });
});

test("manifests name what is wrong with which document", () => {
  expect(() => manifestsOf("a: b", "crds.yaml")).toThrow("crds.yaml: document 1: apiVersion");
  expect(() => manifestsOf("apiVersion: v1\nkind: Pod\nmetadata: {}", "x")).toThrow("metadata.name");
  expect(() => manifestsOf("{ broken", "x")).toThrow("x is not YAML");
  expect(manifestsOf("", "x")).toEqual([]);
});
