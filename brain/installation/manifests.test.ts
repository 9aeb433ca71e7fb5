import { beforeAll, describe, expect, test } from "bun:test";
import { join } from "node:path";
import { definitions } from "@couchestor/common/crd/definitions.ts";
import type { ErasureCodingPolicySpec } from "@couchestor/common/crd/erasure-coding-policy.ts";
import type { Resource } from "@couchestor/common/crd/object.ts";
import type { StoragePolicySpec } from "@couchestor/common/crd/storage-policy.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { parseOperatorConfig } from "../operator/config.ts";
import { validateErasureCodingPolicy } from "../policies/validate-erasure-coding-policy.ts";
import { validateStoragePolicy } from "../policies/validate-storage-policy.ts";
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
import { brainLease, brainNamespace, brainService, webhookConfiguration } from "./needs.ts";

const manifests = join(import.meta.dir, "../../deploy/manifests");

interface Container {
  name: string;
  args: string[];
  env: { name: string; value?: string }[];
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

test("both programs take the flags and the environment that the manifests give them", async () => {
  const containers = ((await deployedObjects("manifests")) as unknown as Workload[])
    .filter(({ kind }) => kind === "Deployment" || kind === "DaemonSet")
    .flatMap(({ spec }) => spec.template.spec.containers);
  const [agent, brain] = containers as [Container, Container];
  const env = Object.fromEntries(
    brain.env.map(({ name, value }) => [
      name,
      value ?? { POD_NAMESPACE: brainNamespace, POD_IP: "10.0.0.7" }[name] ?? `the pod's ${name}`,
    ]),
  );
  const config = parseOperatorConfig(brain.args.slice(1), env);
  expect(config.webhook).toMatchObject({
    hosts: expect.arrayContaining(["couchestor-webhook.couchestor.svc"]),
    configuration: webhookConfiguration,
  });
  expect(config.leaderEndpoints).toEqual({ service: brainService, address: "10.0.0.7" });
  expect([config.leaseName, config.brain.listen.port, config.webhook?.listen.port]).toEqual([brainLease, 7400, 9443]);
  // The agent is another package: it is run, and gets as far as its certificates, of which none is there.
  await using folder = await tempDir("manifests");
  const values: [string, string][] = [
    ["$(NODE_NAME)", "node-1"],
    ["$(NODE_ADDRESS)", "10.0.0.1"],
    ["/var/lib/couchestor", folder.path],
  ];
  const args = agent.args.map((arg) => values.reduce((text, [from, to]) => text.replace(from, to), arg));
  const child = Bun.spawn([process.execPath, join(import.meta.dir, "../../couchestor.ts"), ...args], {
    stdout: "pipe",
    stderr: "pipe",
  });
  const text = (await new Response(child.stdout).text()) + (await new Response(child.stderr).text());
  expect([await child.exited, text]).toEqual([
    2,
    expect.stringMatching(/TLS: the [a-zA-Z ]+ \/tls\/[\w.-]+ can.t be read/),
  ]);
});

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: the manifests on a real control plane: ${missing}`);

describe.skipIf(missing !== undefined)("on a real control plane", () => {
  let plane: ControlPlane;
  beforeAll(async () => {
    plane = await installedControlPlane();
  }, 180_000);

  let rolledOut: Promise<string> | undefined;
  /** Installs everything with kubectl, once, and waits until it has rolled out. Returns what kubectl said of the installation. */
  const installed = () => {
    rolledOut ??= (async () => {
      for (const node of ["node-1", "node-2"])
        await kubectl(plane, ["label", "node", node, "storage.billyronks.io/agent=true"]);
      const applied = await kubectl(plane, [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--validate=strict",
        "-k",
        manifests,
      ]);
      expect(applied).toMatchObject({ code: 0 });
      // No brain answers it here; its own test is below.
      await kubectl(plane, ["delete", "validatingwebhookconfiguration", webhookConfiguration]);
      await certificates();
      for (const what of ["deployment/couchestor-brain", "daemonset/couchestor-agent"]) {
        const rollout = await kubectl(plane, ["-n", brainNamespace, "rollout", "status", what, "--timeout=40s"]);
        expect(rollout.text).toContain("successfully rolled out");
      }
      return applied.text;
    })();
    return rolledOut;
  };

  test("kubectl apply -k takes everything, strictly, and the workloads roll out on labelled nodes", async () => {
    const said = await installed();
    expect(said).toContain("deployment.apps/couchestor-brain serverside-applied");
    expect(said.split("\n").filter((line) => /warn|unknown|deprecated/i.test(line))).toEqual([]);
    const pods = await kubectl(plane, ["-n", brainNamespace, "get", "pods", "-o", "wide", "--no-headers"]);
    const nodesOf = (workload: string) => {
      const lines = pods.text.split("\n").filter((line) => line.includes(workload));
      return lines.map((line) => line.split(/ +/)[6]).sort();
    };
    expect(nodesOf("couchestor-agent")).toEqual(["node-1", "node-2"]);
    expect(new Set(nodesOf("couchestor-brain")).size).toBe(2);
  }, 180_000);

  test("the examples are accepted, and nothing about them surprises", async () => {
    const objects = (await deployedObjects("examples")) as unknown as Resource[];
    const kinds = objects.map((object) => {
      const kind = definitions.find((definition) => definition.kind.kind === object.kind)?.kind;
      const spec = kind?.spec.parse(object.spec);
      const found =
        object.kind === "StoragePolicy"
          ? validateStoragePolicy(spec as StoragePolicySpec)
          : validateErasureCodingPolicy(spec as ErasureCodingPolicySpec);
      expect([object.metadata.name, found]).toEqual([object.metadata.name, { problems: [], warnings: [] }]);
      return object.kind;
    });
    expect(new Set(kinds)).toEqual(new Set(["StoragePolicy", "ErasureCodingPolicy"]));
    const examples = join(manifests, "../examples");
    expect(await kubectl(plane, ["apply", "--dry-run=server", "--validate=strict", "-f", examples])).toMatchObject({
      code: 0,
    });
  }, 180_000);

  test("services find the brain's pods, ready or not, and a drain leaves one of them", async () => {
    await installed();
    for (const [service, port] of [
      ["couchestor-brain-metrics", 8080],
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
  }, 180_000);

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
  }, 180_000);

  const certificates = async () => {
    for (const name of ["couchestor-brain-tls", "couchestor-agent-tls"]) {
      const data = { "tls.crt": "", "tls.key": "", "agent-ca.crt": "", "brain-ca.crt": "", "admin-ca.crt": "" };
      await plane.request("POST", `/api/v1/namespaces/${brainNamespace}/secrets`, { metadata: { name }, data });
    }
  };
});
