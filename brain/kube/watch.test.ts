import { beforeAll, describe, expect, test } from "bun:test";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng, systemPrng } from "@couchestor/common/runtime/prng.ts";
import { expectCode } from "../store/conformance-objects.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { testClient } from "../testing/kube-fixture.ts";
import { until } from "../testing/processes.ts";
import type { KubeClient } from "./client.ts";
import { Informer } from "./informer.ts";
import { type KubeObject, kubeTypes } from "./objects.ts";
import { isExpired } from "./status-error.ts";
import { followChanges, type WatchLimits } from "./watch.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: watches and informers: ${missing}`);

type ConfigMap = KubeObject & { data?: Record<string, string> };
const type = kubeTypes.configMap;
/** How long a watch is left alone; minutes show what no limit of the runtime's may cut. */
const idleSeconds = Number(process.env["WATCH_IDLE_SECONDS"] ?? 2);

describe.skipIf(missing !== undefined)("on a real API server", () => {
  let plane: ControlPlane;
  let client: KubeClient;
  beforeAll(async () => {
    plane = await sharedControlPlane();
    client = testClient(plane);
  }, 180_000);

  const create = (name: string, data: Record<string, string> = {}, labels: Record<string, string> = {}) =>
    client.create<ConfigMap>(type, {
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, namespace: "default", labels },
      data,
    });

  /** Follows config maps in the background. */
  function follow(resourceVersion: string, limits: Partial<WatchLimits> = {}) {
    const stop = new AbortController();
    const seen: string[] = [];
    const ends: unknown[] = [];
    const deps = { client, clock: systemClock, prng: systemPrng };
    const done = (async () => {
      const options = {
        namespace: "default",
        resourceVersion,
        signal: stop.signal,
        limits: { pauseMs: 50, pauseMsMax: 200, ...limits },
        onConnection: (up: boolean, why?: unknown) => void (up || ends.push(why)),
      };
      for await (const change of followChanges<ConfigMap>(deps, type, options)) {
        if (change.type !== "bookmark") seen.push(`${change.type} ${change.object.metadata.name}`);
      }
    })();
    return { seen, ends, done, stop: () => stop.abort() };
  }

  const revision = async () => (await client.list(type, { namespace: "default" })).resourceVersion;

  test("connections that the server ends follow each other without a gap", async () => {
    const watch = follow(await revision(), { connectionSeconds: 1 });
    for (let i = 0; i < 24; i++) {
      await create(`short-${i}`);
      await systemClock.sleep(100);
    }
    await until("all are seen", () => watch.seen.length === 24);
    expect(watch.seen).toEqual(Array.from({ length: 24 }, (_, i) => `added short-${i}`));
    expect(watch.ends.length).toBeGreaterThanOrEqual(1);
    watch.stop();
    await watch.done;
  }, 180_000);

  test(`a watch is still alive after ${idleSeconds} idle seconds`, async () => {
    const watch = follow(await revision(), { connectionSeconds: 3_600, idleMsMax: 3_600_000 });
    await systemClock.sleep(idleSeconds * 1000);
    await create("after-idle");
    await until("it is seen", () => watch.seen.includes("added after-idle"));
    expect(watch.ends).toEqual([]);
    watch.stop();
    await watch.done;
  }, 3_600_000);

  test("a half-open connection is noticed and replaced, and nothing is lost", async () => {
    const watch = follow(await revision(), { idleMsMax: 1_000 });
    await create("before-pause");
    await until("it is seen", () => watch.seen.length === 1);
    plane.pauseApiServer();
    try {
      await until("the silence is noticed", () => watch.ends.length > 0);
    } finally {
      plane.resumeApiServer();
    }
    await create("after-pause");
    await until("the rest is seen", () => watch.seen.length === 2);
    expect(watch.seen).toEqual(["added before-pause", "added after-pause"]);
    expect(String(watch.ends[0])).toContain("nothing came for 1000 ms");
    watch.stop();
    await watch.done;
  }, 180_000);

  test("a revision that is no longer kept is an expired error", async () => {
    const old = await revision();
    await create("long-ago");
    await plane.compact();
    await plane.restartApiServer();
    const watch = follow(old);
    const error = await expectCode(watch.done, "Conflict");
    expect(isExpired(error)).toBe(true);
  }, 180_000);

  test("who may not watch is told so, and not kept trying", async () => {
    const own = testClient(plane, "watcher");
    const deps = { client: own, clock: systemClock, prng: systemPrng };
    const changes = followChanges(deps, type, {
      resourceVersion: await revision(),
      signal: new AbortController().signal,
    });
    await expectCode(changes.next(), "FailedPrecondition");
  });

  test("an informer keeps a whole, indexed copy through an expired revision, a restart and rights that come late", async () => {
    const own = testClient(plane, "watcher");
    const told: string[] = [];
    const informer = new Informer<ConfigMap>(
      { client: own, clock: systemClock, prng: seededPrng(3), logger: silentLogger() },
      {
        type,
        namespace: "default",
        labelSelector: "informer",
        keep: (object) => object,
        indexes: { colour: (object) => [object.data?.["colour"] ?? "none"] },
        watchLimits: { pauseMs: 50, pauseMsMax: 200 },
      },
    );
    informer.addHandler({
      added: (object) => told.push(`added ${object.metadata.name}`),
      updated: (object, before) =>
        told.push(`updated ${object.metadata.name} ${before.data?.["colour"]}>${object.data?.["colour"]}`),
      deleted: (object) => told.push(`deleted ${object.metadata.name}`),
    });
    const labels = { informer: "yes" };
    await create("one", { colour: "red" }, labels);
    await create("two", { colour: "blue" }, labels);
    informer.start();
    await systemClock.sleep(300);
    expect([informer.synced, informer.staleMs]).toEqual([false, undefined]);
    await allowReading(plane, "watcher");
    await until("it is complete", () => informer.synced);
    expect(told.splice(0).sort()).toEqual(["added one", "added two"]);
    expect(informer.get("default/one")?.data).toEqual({ colour: "red" });
    await until("it is connected", () => informer.staleMs === 0);

    const one = (await client.get<ConfigMap>(type, { namespace: "default", name: "one" })) as ConfigMap;
    await client.replace(type, { ...one, data: { colour: "blue" } });
    await until("the change is seen", () => informer.byIndex("colour", "blue").length === 2);
    expect(informer.byIndex("colour", "red")).toEqual([]);
    expect(told.splice(0)).toEqual(["updated one red>blue"]);

    // While the API server is away from the informer's sight, objects come and go, and the revision it knows is dropped.
    await plane.stopApiServer();
    await until("the copy knows that it is old", () => (informer.staleMs ?? 0) > 0);
    expect(informer.size).toBe(2);
    await plane.startApiServer();
    await client.delete(type, { namespace: "default", name: "two" });
    await create("three", {}, labels);
    await until(
      "the copy is as it should be",
      () => informer.get("default/three") !== undefined && informer.size === 2,
    );
    expect(told.sort()).toEqual(["added three", "deleted two"]);
    await informer.stop();
  }, 180_000);

  test("an informer lists again after an expired revision and tells what is gone", async () => {
    const told: string[] = [];
    const gate = { open: true };
    // A client whose watches fail while the gate is closed: the time in which the revision expires.
    const held = testClient(plane);
    const open = held.transport.open.bind(held.transport);
    held.transport.open = (request) => (gate.open ? open(request) : Promise.reject(new Error("cut off")));
    const informer = new Informer<ConfigMap>(
      { client: held, clock: systemClock, prng: seededPrng(4), logger: silentLogger() },
      {
        type,
        namespace: "default",
        labelSelector: "expired",
        keep: (object) => object,
        watchLimits: { connectionSeconds: 1, pauseMs: 50, pauseMsMax: 100 },
      },
    );
    informer.addHandler({
      added: (o) => told.push(`added ${o.metadata.name}`),
      deleted: (o) => told.push(`deleted ${o.metadata.name}`),
    });
    await create("stays", {}, { expired: "yes" });
    await create("goes", {}, { expired: "yes" });
    informer.start();
    await until("it is complete", () => informer.size === 2);
    gate.open = false;
    await until("it is cut off", () => (informer.staleMs ?? 0) > 0);
    await client.delete(type, { namespace: "default", name: "goes" });
    await create("comes", {}, { expired: "yes" });
    await plane.compact();
    await plane.restartApiServer();
    gate.open = true;
    await until(
      "it is as it should be",
      () => informer.get("default/comes") !== undefined && informer.get("default/goes") === undefined,
    );
    expect(told.sort()).toEqual(["added comes", "added goes", "added stays", "deleted goes"]);
    await informer.stop();
  }, 180_000);
});

async function allowReading(plane: ControlPlane, user: string): Promise<void> {
  const rbac = "/apis/rbac.authorization.k8s.io/v1/namespaces/default";
  await plane.request("POST", `${rbac}/roles`, {
    metadata: { name: user },
    rules: [{ apiGroups: [""], resources: ["configmaps"], verbs: ["list", "watch"] }],
  });
  await plane.request("POST", `${rbac}/rolebindings`, {
    metadata: { name: user },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "Role", name: user },
    subjects: [{ kind: "User", name: user, apiGroup: "rbac.authorization.k8s.io" }],
  });
}
