import { beforeAll, describe, expect, test } from "bun:test";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { testClient } from "../testing/kube-fixture.ts";
import { KubeClient } from "./client.ts";
import { type EventLimits, EventRecorder } from "./events.ts";
import { type KubeObject, kubeTypes, type ObjectType } from "./objects.ts";
import { KubeTransport } from "./transport.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: events at a real API server: ${missing}`);

type Stored = KubeObject & {
  note: string;
  reason: string;
  series?: { count: number };
  regarding: { name: string };
  reportingController: string;
};

const source = { controller: "storage.billyronks.io/brain", instance: "brain-0" };
const policy: KubeObject = {
  apiVersion: "storage.billyronks.io/v1",
  kind: "StoragePolicy",
  metadata: { name: "gold", uid: "0b7d9b4e-9b1a-4a9e-8f3e-3f2d6c1b0a99" },
};
const conflict = {
  type: "Warning",
  reason: "PolicyConflict",
  action: "Evaluate",
  note: "pvc-1 belongs to silver",
} as const;

describe.skipIf(missing !== undefined)("at a real API server", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await sharedControlPlane();
  }, 180_000);

  test("an event is there for kubectl describe, and its repetitions are one event with a count", async () => {
    const client = testClient(plane);
    const recorder = new EventRecorder(
      { client, clock: systemClock, prng: seededPrng(7), logger: silentLogger() },
      source,
    );
    for (let i = 0; i < 5; i++) recorder.record(policy, conflict);
    recorder.record(policy, { ...conflict, note: "ü".repeat(2_000) });
    await recorder.flush();
    for (let i = 0; i < 3; i++) recorder.record(policy, conflict);
    await recorder.stop();
    expect(recorder.dropped).toBe(0);
    const listed = await client.list<Stored>(kubeTypes.event, { namespace: "default" });
    const ours = listed.items.filter((event) => event.reportingController === source.controller);
    expect(ours.map((event) => event.series?.count ?? 1).sort()).toEqual([1, 8]);
    // What describe asks for.
    const fieldSelector = `involvedObject.name=gold,involvedObject.uid=${policy.metadata.uid},involvedObject.kind=StoragePolicy`;
    const described = await client.list(
      { group: "", version: "v1", kind: "Event", plural: "events", namespaced: true },
      { namespace: "default", fieldSelector },
    );
    expect(described.items).toHaveLength(2);
  });

  test("a user who may write no events loses them, and nothing else", async () => {
    const client = testClient(plane, "nobody");
    const recorder = new EventRecorder(
      { client, clock: systemClock, prng: seededPrng(8), logger: silentLogger() },
      source,
    );
    recorder.record(policy, conflict);
    await recorder.stop();
    expect(recorder.dropped).toBe(1);
  });
});

/** Counts what would be written. */
class CountingClient extends KubeClient {
  created = 0;
  patched = 0;

  override async create<T extends KubeObject>(_: ObjectType, object: T): Promise<T> {
    this.created += 1;
    return object;
  }

  override async mergePatch<T extends KubeObject>(): Promise<T> {
    this.patched += 1;
    return {} as T;
  }
}

function recorderAt(clock: FakeClock, limits: Partial<EventLimits> = {}) {
  const access = {
    server: "http://127.0.0.1:1",
    namespace: "default",
    source: "test",
    credentials: () => Promise.reject(new Error("unused")),
  };
  const client = new CountingClient(new KubeTransport({ access, clock, prng: seededPrng(1) }));
  return {
    client,
    recorder: new EventRecorder({ client, clock, prng: seededPrng(1), logger: silentLogger() }, { ...source, limits }),
  };
}

describe("bounds", () => {
  test("a series that goes on is written once a minute, and a new one begins after a pause", async () => {
    const clock = new FakeClock();
    const { client, recorder } = recorderAt(clock);
    for (let i = 0; i < 600; i++) {
      recorder.record(policy, conflict);
      await clock.advance(1_000);
    }
    expect([client.created, client.patched]).toEqual([1, 9]);
    await clock.advance(7 * 60_000);
    recorder.record(policy, conflict);
    await clock.advance(10);
    expect(client.created).toBe(2);
  });

  test("an object with too much to say is cut off, others are not", async () => {
    const clock = new FakeClock();
    const { client, recorder } = recorderAt(clock, { burst: 5, ratePerSecond: 0.001 });
    for (let i = 0; i < 50; i++) recorder.record(policy, { ...conflict, note: `number ${i}` });
    const other = { ...policy, metadata: { name: "silver", uid: "other" } };
    recorder.record(other, conflict);
    await clock.advance(10);
    expect([client.created, recorder.dropped]).toEqual([6, 45]);
  });

  test("what waits and what is remembered is bounded", async () => {
    const clock = new FakeClock();
    const { client, recorder } = recorderAt(clock, { waitingMax: 10, rememberedMax: 4 });
    for (let i = 0; i < 100; i++) recorder.record({ ...policy, metadata: { name: `p${i}`, uid: `u${i}` } }, conflict);
    await recorder.stop();
    expect(client.created).toBe(11);
    expect(recorder.dropped).toBe(89);
  });
});
