import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { pageItems } from "../kube/client.ts";
import { KubeStore } from "../kube/kube-store.ts";
import type { KubeObject } from "../kube/objects.ts";
import { createStripes } from "../operator/testing/many-stripes.ts";
import { silentLog } from "../ports.ts";
import { type ControlPlane, startControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { applyObjects, deployedObjects } from "../testing/installed-plane.ts";
import { testClient } from "../testing/kube-fixture.ts";
import { until } from "../testing/processes.ts";
import { Catalogue } from "./catalogue.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: ECVolumes and ECStripes edited with kubectl: ${missing}`);

const path = "/apis/storage.billyronks.io/v1";
const merge = "application/merge-patch+json";
/** More than one page. */
const count = pageItems + 20;

describe.skipIf(missing !== undefined)("ECVolumes and ECStripes edited past the brain on a real API server", () => {
  let plane: ControlPlane;
  let store: KubeStore;
  let catalogue: Catalogue;

  beforeAll(async () => {
    plane = await startControlPlane();
    await applyObjects(plane, await deployedObjects("crds"));
    await createStripes(plane, count);
    store = new KubeStore({ client: testClient(plane), clock: systemClock, prng: systemPrng });
    catalogue = new Catalogue({ store, clock: systemClock, log: silentLog });
    await catalogue.load();
    catalogue.follow();
  }, 300_000);

  afterAll(async () => {
    await catalogue?.stop();
    await store?.close();
    await plane?.stop();
  });

  const run = async (name: string) =>
    (await plane.request("GET", `${path}/ecstripes/${name}`)) as EcStripe & KubeObject;
  const patch = (name: string, spec: object) => plane.request("PATCH", `${path}/ecstripes/${name}`, { spec }, merge);
  const uuid = () => catalogue.volume("ec-0").spec.volumeUuid;

  test("all pages are read", () => {
    expect([...catalogue.runs.all()]).toHaveLength(count);
    expect(catalogue.volumes().map((volume) => volume.metadata.name)).toEqual(["ec-0"]);
  });

  test("the definition as it is deployed lets people and the brain list one volume's", async () => {
    const found = async (value: string) => {
      const query = `fieldSelector=${encodeURIComponent(value)}&limit=${2 * count}`;
      return ((await plane.request("GET", `${path}/ecstripes?${query}`)) as { items: unknown[] }).items.length;
    };
    expect(await found(`spec.volumeUuid=${uuid()}`)).toBe(count);
    expect(await found("spec.volumeRef=ec-0")).toBe(count);
    expect(await found("spec.volumeRef=ec")).toBe(0);
    expect(await catalogue.mapFreshRuns(catalogue.volume("ec-0"), () => 1)).toHaveLength(count);
  });

  test("a change that the brain did not make is seen at once, and one that no commit makes is held", async () => {
    const name = "ec-0-0000000016";
    const before = await run(name);
    const placements = before.spec.placements.map((placement) => ({
      ...placement,
      shardLocations: placement.shardLocations.map((l) => ({ ...l, putAct: l.putAct + 1 })),
    }));
    await patch(name, { placements });
    await until("it is held", () => catalogue.whyHeld(uuid(), name) !== undefined);
    await patch(name, { placements: before.spec.placements });
    await until("it counts again", () => catalogue.whyHeld(uuid(), name) === undefined);
  });

  test("what is deleted is gone, and what is made is there", async () => {
    const name = "ec-0-0000000032";
    const { metadata: _, ...before } = await run(name);
    await plane.request("DELETE", `${path}/ecstripes/${name}`);
    await until("it is gone", () => catalogue.runs.get(uuid(), name) === undefined);
    await plane.request("POST", `${path}/ecstripes`, { ...before, metadata: { name } });
    await until("it is there", () => catalogue.runs.get(uuid(), name) !== undefined);
  });

  const goesBack: [string, (spec: EcStripe["spec"]) => object][] = [
    ["generation", ({ generation }) => ({ generation: generation - 1 })],
    ["fencedEpoch", ({ fencedEpoch }) => ({ fencedEpoch: fencedEpoch - 1 })],
    ["volumeUuid", () => ({ volumeUuid: "00000000-0000-4000-8000-0000000000ff" })],
    ["firstStripe", ({ firstStripe }) => ({ firstStripe: firstStripe + 1 })],
    ["stripeCount", ({ stripeCount }) => ({ stripeCount: stripeCount - 1 })],
  ];
  for (const [field, change] of goesBack) {
    test(`the API server itself refuses another ${field} of an ECStripe, and says what is allowed`, async () => {
      const name = "ec-0-0000000048";
      const before = await run(name);
      const refused = await patch(name, change(before.spec)).then(
        () => "it was taken",
        (error: Error) => error.message,
      );
      expect(refused).toContain(field);
      expect((await run(name)).spec).toEqual(before.spec);
    });
  }

  test("the API server itself refuses another geometry of an ECVolume", async () => {
    const edits = {
      stripeSizeBytes: 131_072,
      stripesPerRun: 8,
      sizeBytes: 4096,
      volumeUuid: "00000000-0000-4000-8000-0000000000ff",
    };
    for (const [field, value] of Object.entries(edits)) {
      const answer = plane.request("PATCH", `${path}/ecvolumes/ec-0`, { spec: { [field]: value } }, merge);
      await expect(answer).rejects.toThrow(field);
    }
  });

  test("a volume that is deleted past the brain is none any more, and its ECStripes stay", async () => {
    const known = uuid();
    await plane.request("DELETE", `${path}/ecvolumes/ec-0`);
    await until("the volume is gone", () => catalogue.volumes().length === 0);
    expect(catalogue.runs.ofVolume(known)).toHaveLength(count);
  });
});
