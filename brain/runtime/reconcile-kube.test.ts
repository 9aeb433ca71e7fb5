import { beforeAll, describe, expect, test } from "bun:test";
import { type StorageNode, storageNodeKind } from "@couchestor/common/crd/storage-node.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng, systemPrng } from "@couchestor/common/runtime/prng.ts";
import { Informer } from "../kube/informer.ts";
import { KubeStore, objectTypeOf } from "../kube/kube-store.ts";
import type { KubeObject } from "../kube/objects.ts";
import type { Attempt } from "../kube/transport.ts";
import { nodeObject, nodeStatus } from "../store/conformance-objects.ts";
import { type ControlPlane, sharedControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import { installOpenDefinitions, testClient } from "../testing/kube-fixture.ts";
import { until } from "../testing/processes.ts";
import { Controller } from "./controller.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: reconciliation at a real API server: ${missing}`);

type NodeObject = KubeObject & { spec: { labels: Record<string, string> }; status?: { codec?: string } };

describe.skipIf(missing !== undefined)("at a real API server", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await sharedControlPlane();
    await installOpenDefinitions(plane, [storageNodeKind]);
  }, 180_000);

  test("many objects, others who write them too, and a restart: all come to what is wanted, and then nothing is written", async () => {
    const attempts: Attempt[] = [];
    const client = testClient(plane, "admin", { onAttempt: (attempt) => attempts.push(attempt) });
    const deps = { client, clock: systemClock, prng: systemPrng, logger: silentLogger() };
    const store = new KubeStore(deps);
    const informer = new Informer<NodeObject>(deps, {
      type: objectTypeOf(storageNodeKind),
      keep: (object) => object,
      watchLimits: { pauseMs: 50, pauseMsMax: 200 },
    });
    // Wanted: status.codec says what the label says.
    const controller = new Controller(
      { ...deps, prng: seededPrng(1) },
      {
        name: "codec",
        workers: 8,
        queue: { backoffMsMax: 500 },
        reconcile: async (name) => {
          const seen = informer.get(name);
          const wanted = seen?.spec.labels["codec"];
          if (seen === undefined || wanted === undefined || seen.status?.codec === wanted) return undefined;
          await store.updateStatus(storageNodeKind, {
            ...(seen as unknown as StorageNode),
            status: { ...nodeStatus, codec: wanted },
          });
          return undefined;
        },
      },
    ).watch(informer, (object) => [object.metadata.name]);
    informer.start();
    controller.start();

    const count = 100;
    const names = Array.from({ length: count }, (_, i) => `reconciled-${i}`);
    const startMs = systemClock.monotonicMs();
    await Promise.all(names.map((name) => store.create(storageNodeKind, nodeObject(name, { codec: "v1" }))));
    const converged = (codec: string) => () => names.every((name) => informer.get(name)?.status?.codec === codec);
    await until("all have v1", converged("v1"));
    const tookMs = systemClock.monotonicMs() - startMs;

    const change = async (name: string) => {
      for (;;) {
        try {
          const current = (await store.get(storageNodeKind, name)) as StorageNode;
          await store.update(storageNodeKind, { ...current, spec: { labels: { codec: "v2" } } });
          return;
        } catch (error) {
          if (!isAppError(error) || !(error.code === "Conflict" || error.retryable)) throw error;
          await systemClock.sleep(100);
        }
      }
    };
    const changing = Promise.all(names.map(change));
    await plane.restartApiServer();
    await changing;
    await until("all have v2", converged("v2"));
    console.log(`reconcile: ${count} objects created and brought to their status in ${Math.round(tookMs)} ms`);

    // What was decided by an older copy may still be under way, and refused; after that a second passes without a write.
    await until("nothing is written any more", async () => {
      attempts.length = 0;
      await systemClock.sleep(1_000);
      return attempts.every((attempt) => attempt.method === "GET");
    });
    await controller.stop();
    await informer.stop();
    const { items } = await store.list(storageNodeKind, "reconciled-");
    expect(items.map((item) => item.status?.codec)).toEqual(items.map(() => "v2"));
    await Promise.all(items.map((item) => store.delete(storageNodeKind, item.metadata.name)));
  }, 180_000);
});
