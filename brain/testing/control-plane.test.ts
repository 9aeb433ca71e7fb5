import { describe, expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { startControlPlane } from "./control-plane.ts";
import { assetsDirectory, controlPlaneMissing, missingPrograms } from "./control-plane-binaries.ts";
import { until } from "./processes.ts";

const missing = controlPlaneMissing();
if (missing) console.log(`skipped: control plane fixture: ${missing}`);

describe.skipIf(missing !== undefined)("control plane fixture", () => {
  test("starts in seconds, keeps its data over a restart, has users without rights, and leaves nothing behind", async () => {
    const startMs = systemClock.monotonicMs();
    const plane = await startControlPlane({ users: [{ name: "nobody" }] });
    const readyMs = systemClock.monotonicMs() - startMs;
    try {
      console.log(`control plane: ready in ${Math.round(readyMs)} ms`);
      await plane.request("POST", "/api/v1/namespaces", { metadata: { name: "kept" } });
      await plane.restartApiServer();
      expect(await plane.request("GET", "/api/v1/namespaces/kept")).toMatchObject({ metadata: { name: "kept" } });
      const refused = await fetch(`${plane.server}/api/v1/namespaces/kept`, {
        headers: { authorization: `Bearer ${plane.token("nobody")}` },
        tls: { ca: plane.authority.cert },
      });
      expect(refused.status).toBe(403);
    } finally {
      await plane.stop();
    }
    expect(existsSync(plane.dir)).toBe(false);
    await expect(fetch(plane.server, { tls: { ca: plane.authority.cert } })).rejects.toThrow();
  }, 180_000);

  const nodesMissing = controlPlaneMissing(["kube-controller-manager", "kube-scheduler", "kwok"]);
  test.skipIf(nodesMissing !== undefined)(
    "with nodes a Deployment rolls out",
    async () => {
      await using plane = await startControlPlane({ nodes: 2 });
      const labels = { app: "web" };
      await plane.request("POST", "/apis/apps/v1/namespaces/default/deployments", {
        metadata: { name: "web" },
        spec: {
          replicas: 3,
          selector: { matchLabels: labels },
          template: { metadata: { labels }, spec: { containers: [{ name: "web", image: "none" }] } },
        },
      });
      await until(
        "all replicas are ready",
        async () => {
          const path = "/apis/apps/v1/namespaces/default/deployments/web";
          const { status } = (await plane.request("GET", path)) as { status: { readyReplicas?: number } };
          return status.readyReplicas === 3;
        },
        { everyMs: 100 },
      );
    },
    180_000,
  );
});

test("a missing program is named with where it was looked for and how to get it", () => {
  expect(missingPrograms(["no-such-program"])).toBe(
    `no no-such-program in ${assetsDirectory()}: \`make envtest\` builds a control plane`,
  );
});

test("KUBEBUILDER_ASSETS wins over the cache, XDG_CACHE_HOME over the home folder", () => {
  expect(assetsDirectory({ KUBEBUILDER_ASSETS: "/assets", XDG_CACHE_HOME: "/c" })).toBe("/assets");
  expect(assetsDirectory({ XDG_CACHE_HOME: "/c", HOME: "/h" })).toBe("/c/couchestor/envtest/v1.36.3");
  expect(assetsDirectory({ HOME: "/h" })).toBe("/h/.cache/couchestor/envtest/v1.36.3");
});
