import { afterEach, beforeAll, describe, expect, test } from "bun:test";
import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { apiGroup } from "@couchestor/common/crd/object.ts";
import { type StorageNode, storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { resourceStoreConformance } from "../store/conformance.ts";
import { expectCode, nodeObject, nodeStatus } from "../store/conformance-objects.ts";
import { stripeOf, stripeUuid } from "../store/conformance-selection.ts";
import type { ResourceStore } from "../store/ports.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { installOpenDefinitions, testClient } from "../testing/kube-fixture.ts";
import { until } from "../testing/processes.ts";
import { type CallOptions, KubeClient, type ListPage, pageItems, type Selection } from "./client.ts";
import { KubeStore } from "./kube-store.ts";
import type { KubeObject, ObjectType } from "./objects.ts";
import { transportLimits } from "./transport.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: the resource store on the Kubernetes API: ${missing}`);

describe.skipIf(missing !== undefined)("on a real API server", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await sharedControlPlane();
    await installOpenDefinitions(plane, [storageNodeKind, ecStripeKind]);
  }, 180_000);

  const open = (): KubeStore => new KubeStore({ client: testClient(plane), clock: systemClock, prng: seededPrng(2) });

  resourceStoreConformance("Kubernetes API", async () => {
    const store = open();
    return { store, dispose: () => removeAll(store) };
  });

  describe("beyond the suite", () => {
    let store: KubeStore;
    afterEach(() => removeAll(store));

    test("a list of several pages is whole, in order and of one revision", async () => {
      store = open();
      const count = pageItems + 20;
      const names = Array.from({ length: count }, (_, i) => `page-${String(i).padStart(5, "0")}`);
      await Promise.all(names.map((name) => store.create(storageNodeKind, nodeObject(name))));
      const listed = await store.list(storageNodeKind, "page-");
      expect(listed.items.map((item) => item.metadata.name)).toEqual(names);
      expect(Number(listed.revision)).toBeGreaterThan(0);
    }, 180_000);

    test("a list by fields receives nothing else, and is as good where the definition doesn't let the server select", async () => {
      store = open();
      const [mine, theirs] = [stripeUuid(11), stripeUuid(12)];
      await Promise.all(Array.from({ length: 8 }, (_, i) => store.create(ecStripeKind, stripeOf("other", theirs, i))));
      await store.create(ecStripeKind, stripeOf("mine", mine, 0));
      let received = 0;
      class CountingClient extends KubeClient {
        override async *pages<T extends KubeObject>(
          type: ObjectType,
          selection: Selection,
          options: CallOptions,
        ): AsyncGenerator<ListPage<T>> {
          for await (const page of super.pages<T>(type, selection, options)) {
            received += page.items.length;
            yield page;
          }
        }
      }
      const client = new CountingClient(testClient(plane).transport);
      const counting = new KubeStore({ client, clock: systemClock, prng: seededPrng(2) });
      const names = async () =>
        (await counting.list(ecStripeKind, "", { volumeUuid: mine })).items.map((item) => item.metadata.name);
      expect([await names(), received]).toEqual([["mine-0000000000"], 1]);
      try {
        await installOpenDefinitions(plane, [{ ...ecStripeKind, selectable: [] }]);
        await until("the older definition is served", async () => {
          received = 0;
          await names();
          return received === 9;
        });
        expect(await names()).toEqual(["mine-0000000000"]);
      } finally {
        await installOpenDefinitions(plane, [ecStripeKind]);
      }
    }, 180_000);

    test("what another wrote and we can't read is an error that names object and field", async () => {
      store = open();
      const path = `/apis/${apiGroup}/v1/storagenodes`;
      await plane.request("POST", path, { ...nodeObject("odd"), spec: { labels: {}, colour: "red" } });
      const error = await expectCode(store.get(storageNodeKind, "odd"), "Internal");
      expect(error.message).toContain("StorageNode odd: spec");
      await plane.request("DELETE", `${path}/odd`);
    });

    test("pages and watch go on past what can't be read when they may tell it", async () => {
      store = open();
      const path = `/apis/${apiGroup}/v1/storagenodes`;
      const odd = (name: string) => ({ ...nodeObject(name), spec: { labels: {}, colour: "red" } });
      await store.create(storageNodeKind, nodeObject("fine"));
      await plane.request("POST", path, odd("odd"));
      await expectCode(Array.fromAsync(store.pages(storageNodeKind)), "Internal");
      const told: string[] = [];
      const unreadable = (name: string, error: Error) => void told.push(`${name}: ${error.message.includes("spec")}`);
      const [page] = await Array.fromAsync(store.pages(storageNodeKind, { unreadable }));
      expect(page?.items.map((item) => item.metadata.name)).toEqual(["fine"]);
      await plane.request("POST", path, odd("odd-2"));
      await store.create(storageNodeKind, nodeObject("last"));
      const { signal } = new AbortController();
      for await (const event of store.watch(storageNodeKind, page?.revision ?? "", signal, unreadable)) {
        expect(event.object.metadata.name).toBe("last");
        break;
      }
      expect(told).toEqual(["odd: true", "odd-2: true"]);
      for (const name of ["odd", "odd-2"]) await plane.request("DELETE", `${path}/${name}`);
    });

    test("a write that the guard forbids never leaves", async () => {
      store = open();
      const guarded = new KubeStore({
        client: testClient(plane),
        clock: systemClock,
        prng: seededPrng(2),
        guard: {
          assertLeader: () => {
            throw new Error("not the leader");
          },
          remainingMs: () => 1_000,
        },
      });
      await expect(guarded.create(storageNodeKind, nodeObject("forbidden"))).rejects.toThrow("not the leader");
      expect(await guarded.get(storageNodeKind, "forbidden")).toBeUndefined();
    });

    test("a write is given up when the time of the leader who sent it is over", async () => {
      store = open();
      const guard = { assertLeader: () => undefined, remainingMs: () => 300 };
      const guarded = new KubeStore({ client: testClient(plane), clock: systemClock, prng: seededPrng(2), guard });
      plane.pauseApiServer();
      try {
        const startMs = systemClock.monotonicMs();
        await expectCode(guarded.create(storageNodeKind, nodeObject("late")), "Timeout");
        expect(systemClock.monotonicMs() - startMs).toBeLessThan(transportLimits.timeoutMs / 2);
      } finally {
        plane.resumeApiServer();
      }
    });

    test("a status given at creation does not overwrite one that somebody set meanwhile", async () => {
      store = open();
      const theirs = { ...nodeStatus, codec: "theirs" };
      const client = testClient(plane);
      const setTheirs = async (name: string) => {
        const current = (await store.get(storageNodeKind, name)) as StorageNode;
        await store.updateStatus(storageNodeKind, { ...current, status: theirs });
      };
      class OvertakenClient extends KubeClient {
        override async create<T extends KubeObject>(type: ObjectType, object: T): Promise<T> {
          const created = await super.create(type, object);
          await setTheirs(object.metadata.name);
          return created;
        }
      }
      const overtaken = new OvertakenClient(client.transport);
      const racing = new KubeStore({ client: overtaken, clock: systemClock, prng: seededPrng(2) });
      const created = await racing.create(storageNodeKind, { ...nodeObject("raced"), status: nodeStatus });
      expect(created.status).toEqual(theirs);
      expect((await store.get(storageNodeKind, "raced"))?.status).toEqual(theirs);
    });

    test("a closed store ends its watches and refuses calls", async () => {
      store = open();
      const closing = open();
      const { revision } = await closing.list(storageNodeKind);
      const watching = (async () => {
        for await (const _ of closing.watch(storageNodeKind, revision, new AbortController().signal));
      })();
      queueMicrotask(() => closing.close());
      await expectCode(watching, "Unavailable");
      await expectCode(closing.get(storageNodeKind, "a"), "Cancelled");
    });
  });
});

async function removeAll(store: ResourceStore): Promise<void> {
  const stripes = await store.list(ecStripeKind);
  await Promise.all(stripes.items.map((item) => store.delete(ecStripeKind, item.metadata.name)));
  const { items } = await store.list(storageNodeKind);
  await Promise.all(
    items.map(async (item) => {
      await store.delete(storageNodeKind, item.metadata.name);
      const left = await store.get(storageNodeKind, item.metadata.name);
      if (left) await store.update(storageNodeKind, { ...left, metadata: { ...left.metadata, finalizers: [] } });
    }),
  );
  await store.close();
}
