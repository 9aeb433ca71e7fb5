import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { definitions } from "@couchestor/common/crd/definitions.ts";
import { apiGroup, type Resource, type ResourceKind } from "@couchestor/common/crd/object.ts";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng, systemPrng } from "@couchestor/common/runtime/prng.ts";
import type { ClusterAccess } from "../kube/access.ts";
import { KubeClient } from "../kube/client.ts";
import { EventRecorder } from "../kube/events.ts";
import { KubeStore } from "../kube/kube-store.ts";
import { type KubeObject, kubeTypes } from "../kube/objects.ts";
import { KubeTransport } from "../kube/transport.ts";
import { kubeLeaseStore } from "../runtime/kube-lease.ts";
import type { ControlPlane } from "../testing/control-plane.ts";
import { controlPlaneMissing } from "../testing/control-plane-binaries.ts";
import * as samples from "../testing/crd-samples.ts";
import { applyObjects, deployedObjects, installedControlPlane, installedPrograms } from "../testing/installed-plane.ts";
import { makeWebhookCertificate } from "../webhook/certificate.ts";
import { register } from "../webhook/registration.ts";
import {
  brainLease,
  brainNamespace,
  brainNeeds,
  brainServiceAccount,
  eventNamespace,
  type Need,
  type Verb,
  webhookConfiguration,
} from "./needs.ts";

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

/** `ns/group/resource#name verb`, for comparison as sets. */
const words = (need: Need) =>
  need.verbs.map((verb) => `${need.namespace ?? "*"}/${need.group}/${need.resource}#${need.name ?? "*"} ${verb}`);
const needed = brainNeeds.flatMap(words).sort();

function granted(rules: readonly Rule[], namespace?: string): string[] {
  return rules.flatMap(({ apiGroups, resources, verbs, resourceNames = [undefined] }) =>
    apiGroups.flatMap((group) =>
      resources.flatMap((resource) =>
        resourceNames.flatMap((name) =>
          words({
            group,
            resource,
            verbs: verbs as Verb[],
            ...(namespace ? { namespace } : {}),
            ...(name ? { name } : {}),
          }),
        ),
      ),
    ),
  );
}

test("the roles bound to the brain grant what is on the list and nothing else; the agent has none", async () => {
  const objects = (await deployedObjects("manifests")) as (KubeObject & {
    rules?: Rule[];
    roleRef?: { kind: string; name: string };
    subjects?: { kind: string; name: string }[];
  })[];
  const bindings = objects.filter(({ kind }) => kind.endsWith("RoleBinding"));
  const found = bindings.flatMap(({ roleRef, subjects, metadata }) => {
    expect(subjects?.map(({ kind, name }) => `${kind} ${name}`)).toEqual([`ServiceAccount ${brainServiceAccount}`]);
    const role = objects.find(
      (object) =>
        object.kind === roleRef?.kind &&
        object.metadata.name === roleRef.name &&
        object.metadata.namespace === metadata.namespace,
    );
    return granted(role?.rules ?? [], metadata.namespace);
  });
  expect(found.sort()).toEqual(needed);
  expect(found.filter((word) => word.includes("*/*") || word.endsWith(" *"))).toEqual([]);
});

const missing = controlPlaneMissing(installedPrograms);
if (missing) console.log(`skipped: the brain's permissions on a real API server: ${missing}`);

describe.skipIf(missing !== undefined)("under the brain's service account", () => {
  let plane: ControlPlane;
  let token = "";
  let client: KubeClient;
  beforeAll(async () => {
    plane = await installedControlPlane();
    const all = await deployedObjects("manifests");
    await applyObjects(
      plane,
      all.filter(({ kind }) => !["Deployment", "DaemonSet"].includes(kind)),
    );
    token = await tokenOf(brainServiceAccount);
    const credentials = { headers: { authorization: `Bearer ${token}` }, tls: { ca: plane.authority.cert } };
    const access: ClusterAccess = {
      server: plane.server,
      namespace: brainNamespace,
      source: "test",
      credentials: async () => credentials,
    };
    client = new KubeClient(new KubeTransport({ access, clock: systemClock, prng: seededPrng(1) }));
  }, 180_000);

  // Other tests write policies here, and no brain answers.
  afterAll(() =>
    plane.request(
      "DELETE",
      `/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations/${webhookConfiguration}`,
    ),
  );

  const tokenOf = async (account: string): Promise<string> => {
    const path = `/api/v1/namespaces/${brainNamespace}/serviceaccounts/${account}/token`;
    const answer = (await plane.request("POST", path, { spec: { expirationSeconds: 3600 } })) as {
      status: { token: string };
    };
    return answer.status.token;
  };
  /** The status that a request with this verb is answered with; nothing is changed by it. */
  const ask = async (need: Omit<Need, "verbs">, verb: string, bearer = token): Promise<number> => {
    const { group, resource, namespace, name = "nobody" } = need;
    const [plural, subresource] = resource.split("/");
    const root = group === "" ? "/api/v1" : `/apis/${group}/v1`;
    const list = `${root}${namespace === undefined ? "" : `/namespaces/${namespace}`}/${plural}`;
    const one = `${list}/${name}${subresource === undefined ? "" : `/${subresource}`}`;
    const requests: Record<string, [string, string]> = {
      list: ["GET", `${list}?limit=1`],
      watch: ["GET", `${list}?watch=1&timeoutSeconds=1`],
      get: ["GET", one],
      create: ["POST", subresource === undefined ? `${list}?dryRun=All` : `${one}?dryRun=All`],
      update: ["PUT", `${one}?dryRun=All`],
      patch: ["PATCH", `${one}?dryRun=All`],
      delete: ["DELETE", `${one}?dryRun=All`],
      deletecollection: ["DELETE", `${list}?dryRun=All`],
    };
    const [method, path] = requests[verb] ?? ["", ""];
    const headers = {
      authorization: `Bearer ${bearer}`,
      "content-type": method === "PATCH" ? "application/merge-patch+json" : "application/json",
    };
    const body = ["POST", "PUT", "PATCH"].includes(method) ? { body: "{}" } : {};
    const response = await fetch(plane.server + path, { method, headers, ...body, tls: { ca: plane.authority.cert } });
    await response.body?.cancel();
    return response.status;
  };

  test("each thing on the list is allowed", async () => {
    for (const need of brainNeeds) {
      for (const verb of need.verbs) {
        const status = await ask(need, verb);
        expect([need.resource, verb, status === 401 || status === 403]).toEqual([need.resource, verb, false]);
      }
    }
  }, 180_000);

  test("the store, the lease, events and the webhook's registration do their work", async () => {
    const store = new KubeStore({ client, clock: systemClock, prng: seededPrng(2) });
    for (const sample of [samples.ecVolumeSample, samples.ecStripeSample, samples.tombstoneSample] as Resource[]) {
      const kind = definitions.find((definition) => definition.kind.kind === sample.kind)?.kind ?? ({} as ResourceKind);
      const made = await store.create(kind, sample);
      const labelled = { ...made, metadata: { ...made.metadata, labels: { a: "b" } } };
      // Of the others nothing but the status ever changes.
      const committed = kind.kind === samples.ecStripeSample.kind ? await store.update(kind, labelled) : made;
      const updated = await store.updateStatus(kind, committed);
      await store.delete(kind, updated.metadata.name);
    }
    const leases = kubeLeaseStore(client, { namespace: brainNamespace, name: brainLease });
    expect(await leases.read(5_000)).toBeUndefined();
    const at = "2026-01-02T03:04:05.678Z";
    const lease = await leases.create(
      { holder: "a", durationMs: 15_000, acquiredAt: at, renewedAt: at, transitions: 0 },
      5_000,
    );
    expect((await leases.replace({ ...lease, holder: "b" }, 5_000)).holder).toBe("b");
    const events = new EventRecorder(
      { client, clock: systemClock, prng: systemPrng, logger: silentLogger() },
      { controller: "storage.billyronks.io/brain", instance: "test" },
    );
    const regarding = {
      ...samples.storagePolicySample,
      metadata: { name: "sample", uid: "u" },
    } as unknown as KubeObject;
    events.record(regarding, { type: "Normal", reason: "Tested", action: "Test", note: "It works." });
    await events.stop();
    expect(events.dropped).toBe(0);
    const written = await plane.request("GET", `/apis/events.k8s.io/v1/namespaces/${eventNamespace}/events`);
    expect(JSON.stringify(written)).toContain("It works.");
    const own = await makeWebhookCertificate({ hosts: ["x"], validMs: 60_000, clock: systemClock, prng: systemPrng });
    expect(await register(client, webhookConfiguration, own.ca, () => systemClock.wallMs())).toBe("changed");
    await client.list(kubeTypes.persistentVolume);
    await plane.request("DELETE", `/apis/coordination.k8s.io/v1/namespaces/${brainNamespace}/leases/${brainLease}`);
  });

  test("nothing else is: what the API server says of it is the list and what everybody may", async () => {
    for (const namespace of [brainNamespace, eventNamespace, "kube-system"]) {
      const review = await fetch(`${plane.server}/apis/authorization.k8s.io/v1/selfsubjectrulesreviews`, {
        method: "POST",
        headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
        body: JSON.stringify({
          apiVersion: "authorization.k8s.io/v1",
          kind: "SelfSubjectRulesReview",
          spec: { namespace },
        }),
        tls: { ca: plane.authority.cert },
      });
      const { status } = (await review.json()) as { status: { resourceRules: Rule[]; incomplete: boolean } };
      expect(status.incomplete).toBe(false);
      const everybody = (rule: Rule) => rule.resources.every((resource) => resource.startsWith("selfsubject"));
      const may = granted(status.resourceRules.filter((rule) => !everybody(rule)));
      const here = brainNeeds.filter((need) => need.namespace === undefined || need.namespace === namespace);
      const should = here.flatMap(({ namespace: _, ...need }) => words(need));
      expect([...new Set(may)].sort()).toEqual([...new Set(should)].sort());
    }
  });

  test("what would hurt is refused when it is tried", async () => {
    const rbac = "rbac.authorization.k8s.io";
    const harmful: [Omit<Need, "verbs">, string[]][] = [
      [{ group: "", resource: "secrets", namespace: brainNamespace }, ["get", "list", "create", "update"]],
      [{ group: "", resource: "secrets", namespace: "kube-system" }, ["list"]],
      [{ group: "", resource: "configmaps", namespace: brainNamespace }, ["list", "update"]],
      [{ group: "", resource: "nodes" }, ["list", "update", "patch"]],
      [{ group: "", resource: "pods", namespace: brainNamespace }, ["list", "create", "delete"]],
      [{ group: "", resource: "pods/exec", namespace: brainNamespace }, ["create"]],
      [{ group: "", resource: "persistentvolumes" }, ["create", "update", "delete", "deletecollection"]],
      [{ group: "", resource: "persistentvolumeclaims", namespace: "default" }, ["create", "update", "delete"]],
      [
        { group: "", resource: `serviceaccounts/token`, namespace: brainNamespace, name: brainServiceAccount },
        ["create"],
      ],
      [{ group: rbac, resource: "clusterroles", name: "couchestor-brain" }, ["get", "update", "delete"]],
      [{ group: rbac, resource: "clusterrolebindings" }, ["create"]],
      [{ group: "apiextensions.k8s.io", resource: "customresourcedefinitions" }, ["list", "update", "delete"]],
      [
        { group: "admissionregistration.k8s.io", resource: "validatingwebhookconfigurations" },
        ["get", "list", "update", "create"],
      ],
      [
        {
          group: "admissionregistration.k8s.io",
          resource: "mutatingwebhookconfigurations",
          name: webhookConfiguration,
        },
        ["get", "update"],
      ],
      [
        { group: "coordination.k8s.io", resource: "leases", namespace: brainNamespace, name: "other" },
        ["get", "update", "delete"],
      ],
      [
        { group: "coordination.k8s.io", resource: "leases", namespace: "kube-system", name: brainLease },
        ["get", "create", "update"],
      ],
      [
        { group: "discovery.k8s.io", resource: "endpointslices", namespace: brainNamespace, name: "other" },
        ["get", "list", "create", "update", "delete"],
      ],
      [
        {
          group: "discovery.k8s.io",
          resource: "endpointslices",
          namespace: "kube-system",
          name: "couchestor-brain-ipv4",
        },
        ["get", "update"],
      ],
      [{ group: apiGroup, resource: "storagepolicies" }, ["create", "update", "patch", "delete"]],
      [{ group: apiGroup, resource: "erasurecodingpolicies" }, ["create", "update", "patch", "delete"]],
      [{ group: apiGroup, resource: "ecstripes" }, ["patch", "deletecollection"]],
      [{ group: apiGroup, resource: "clusters" }, ["delete"]],
      [{ group: apiGroup, resource: "migrations" }, ["patch", "deletecollection"]],
    ];
    for (const [what, verbs] of harmful) {
      for (const verb of verbs)
        expect([what.resource, verb, await ask(what, verb)]).toEqual([what.resource, verb, 403]);
    }
  });

  test("the agent's service account may not even look at our own objects", async () => {
    const agent = await tokenOf("couchestor-agent");
    for (const { kind } of definitions)
      expect(await ask({ group: apiGroup, resource: kind.plural }, "list", agent)).toBe(403);
    expect(await ask({ group: "", resource: "secrets", namespace: brainNamespace }, "list", agent)).toBe(403);
  });
});
