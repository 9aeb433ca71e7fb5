/** A client of the shared test control plane, and CustomResourceDefinitions that accept anything. */
import { apiGroup, type ResourceKind } from "@couchestor/common/crd/object.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { ClusterAccess } from "../kube/access.ts";
import { KubeClient } from "../kube/client.ts";
import { KubeTransport, type TransportDeps } from "../kube/transport.ts";
import type { ControlPlane } from "./control-plane.ts";
import { until } from "./processes.ts";

/** Access with a token of the control plane's, `admin`'s unless told otherwise. */
export function tokenAccess(plane: ControlPlane, user = "admin"): ClusterAccess {
  const credentials = {
    headers: { authorization: `Bearer ${plane.token(user)}` },
    tls: { ca: plane.authority.cert },
  };
  return { server: plane.server, namespace: "default", source: "test", credentials: async () => credentials };
}

export function testClient(plane: ControlPlane, user = "admin", deps: Partial<TransportDeps> = {}): KubeClient {
  const access = tokenAccess(plane, user);
  return new KubeClient(new KubeTransport({ access, clock: systemClock, prng: seededPrng(1), ...deps }));
}

/** Installs a definition of each kind that keeps every field, with a status subresource, and waits until it is served. */
export async function installOpenDefinitions(plane: ControlPlane, kinds: readonly ResourceKind[]): Promise<void> {
  for (const kind of kinds) {
    const any = { type: "object", "x-kubernetes-preserve-unknown-fields": true };
    const selectable = kind.selectable ?? [];
    const spec = { ...any, properties: Object.fromEntries(selectable.map((field) => [field, { type: "string" }])) };
    const name = `${kind.plural}.${apiGroup}`;
    const definition = {
      apiVersion: "apiextensions.k8s.io/v1",
      kind: "CustomResourceDefinition",
      metadata: { name },
      spec: {
        group: apiGroup,
        scope: "Cluster",
        names: {
          kind: kind.kind,
          plural: kind.plural,
          singular: kind.kind.toLowerCase(),
          shortNames: [...kind.shortNames],
        },
        versions: [
          {
            name: "v1",
            served: true,
            storage: true,
            subresources: { status: {} },
            schema: { openAPIV3Schema: { type: "object", properties: { spec, status: any } } },
            selectableFields: selectable.map((field) => ({ jsonPath: `.spec.${field}` })),
          },
        ],
      },
    };
    const path = `/apis/apiextensions.k8s.io/v1/customresourcedefinitions/${name}?fieldManager=test&force=true`;
    await plane.request("PATCH", path, definition, "application/apply-patch+yaml");
    await until(`${kind.kind} is served`, () => plane.request("GET", `/apis/${apiGroup}/v1/${kind.plural}?limit=1`));
  }
}
