import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import {
  applyObjects,
  deployedObjects,
  installedControlPlane,
  installedPrograms,
  kubectl,
} from "../testing/installed-plane.ts";
import { until } from "../testing/processes.ts";
import { brainNamespace, webhookConfiguration } from "./needs.ts";

const manifests = join(import.meta.dir, "../../deploy/manifests");

interface Container {
  name: string;
  args: string[];
  ports: { name: string; containerPort: number }[];
  securityContext: Record<string, unknown>;
  livenessProbe?: { httpGet: { port: string } };
  readinessProbe?: { httpGet: { port: string } };
  volumeMounts: { name: string; mountPath: string }[];
}

interface Workload {
  kind: string;
  metadata: { name: string };
  spec: { template: { spec: { containers: Container[]; volumes: { name: string }[] } } };
}

test("containers write nowhere but into their volumes, gain no privileges, and are probed on ports they have", async () => {
  const all = (await deployedObjects("manifests")) as unknown as Workload[];
  const workloads = all.filter(({ kind }) => kind === "Deployment" || kind === "DaemonSet");
  expect(workloads.map(({ kind, metadata }) => `${kind} ${metadata.name}`)).toEqual([
    "DaemonSet couchestor-agent",
    "Deployment couchestor-brain",
  ]);
  for (const { spec } of workloads) {
    const { containers, volumes } = spec.template.spec;
    for (const container of containers) {
      expect(container.securityContext).toMatchObject({
        allowPrivilegeEscalation: false,
        readOnlyRootFilesystem: true,
        capabilities: { drop: ["ALL"] },
      });
      const ports = container.ports.map(({ name }) => name);
      expect(ports).toContain(container.livenessProbe?.httpGet.port ?? "");
      expect(ports).toContain(container.readinessProbe?.httpGet.port ?? "");
      expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(volumes.map(({ name }) => name).sort());
      const folders = container.args.flatMap((arg) => /=(\/[\w./-]+)$/.exec(arg)?.[1] ?? []);
      for (const folder of folders) {
        expect([folder, container.volumeMounts.some(({ mountPath }) => folder.startsWith(mountPath))]).toEqual([
          folder,
          true,
        ]);
      }
    }
  }
});

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: the manifests on a real control plane: ${missing}`);

describe.skipIf(missing !== undefined)("on a real control plane", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await installedControlPlane();
  }, 60_000);

  test("kubectl apply -k takes everything, strictly, and the workloads roll out on labelled nodes", async () => {
    for (const node of ["node-1", "node-2"])
      await kubectl(plane, ["label", "node", node, "storage.billyronks.io/agent=true"]);
    const apply = ["apply", "--server-side", "--force-conflicts", "--validate=strict", "-k", manifests];
    const applied = await kubectl(plane, apply);
    expect([applied.code, applied.text]).toEqual([
      0,
      expect.stringContaining("deployment.apps/couchestor-brain serverside-applied"),
    ]);
    // The definitions' own manager is another than that of the test's plane; nothing else may warn.
    expect(applied.text.split("\n").filter((line) => /warn|unknown|deprecated/i.test(line))).toEqual([]);
    await certificates();
    const rollout = (what: string) =>
      kubectl(plane, ["-n", brainNamespace, "rollout", "status", what, "--timeout=40s"]);
    expect((await rollout("deployment/couchestor-brain")).text).toContain("successfully rolled out");
    expect((await rollout("daemonset/couchestor-agent")).text).toContain("successfully rolled out");
    const pods = await kubectl(plane, ["-n", brainNamespace, "get", "pods", "-o", "wide", "--no-headers"]);
    const lines = pods.text.trim().split("\n");
    expect(lines.filter((line) => line.includes("couchestor-agent")).length).toBe(2);
    expect(
      new Set(lines.filter((line) => line.includes("couchestor-brain")).map((line) => line.split(/ +/)[6])).size,
    ).toBe(2);
  }, 90_000);

  test("services find the brain's pods, ready or not, and a drain leaves one of them", async () => {
    for (const [service, port] of [
      ["couchestor-brain", 7400],
      ["couchestor-webhook", 9443],
    ] as const) {
      await until(`${service} has endpoints`, async () => {
        const path = `/apis/discovery.k8s.io/v1/namespaces/${brainNamespace}/endpointslices?labelSelector=kubernetes.io/service-name=${service}`;
        const { items } = (await plane.request("GET", path)) as {
          items: { endpoints: unknown[] | null; ports: { port: number }[] }[];
        };
        return items.some((item) => item.endpoints?.length === 2 && item.ports.some((found) => found.port === port));
      });
    }
    const budget = await until("the budget is counted", async () => {
      const path = `/apis/policy/v1/namespaces/${brainNamespace}/poddisruptionbudgets/couchestor-brain`;
      const { status } = (await plane.request("GET", path)) as {
        status?: { disruptionsAllowed: number; currentHealthy: number };
      };
      return status?.currentHealthy === 2 ? status : undefined;
    });
    expect(budget.disruptionsAllowed).toBe(1);
  }, 30_000);

  test("without a brain that answers, the webhook holds nothing up", async () => {
    await applyObjects(
      plane,
      (await deployedObjects("manifests")).filter(({ metadata }) => metadata.name === webhookConfiguration),
    );
    const policy = {
      apiVersion: "storage.billyronks.io/v1",
      kind: "StoragePolicy",
      metadata: { name: "alone" },
      spec: {},
    };
    expect((await kubectl(plane, ["apply", "-f", "-"], JSON.stringify(policy))).code).toBe(0);
    await kubectl(plane, ["delete", "sp", "alone"]);
    await kubectl(plane, ["delete", "validatingwebhookconfiguration", webhookConfiguration]);
  }, 30_000);

  const certificates = async () => {
    for (const name of ["couchestor-brain-tls", "couchestor-agent-tls"]) {
      const data = { "tls.crt": "", "tls.key": "", "agent-ca.crt": "", "brain-ca.crt": "", "admin-ca.crt": "" };
      await plane.request("POST", `/api/v1/namespaces/${brainNamespace}/secrets`, { metadata: { name }, data });
    }
  };
});
