/** The lease in the Kubernetes API: coordination.k8s.io/v1, as other programs write and read it. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { KubeClient } from "../kube/client.ts";
import { apiVersionOf, type KubeObject, kubeTypes } from "../kube/objects.ts";
import type { Lease, LeaseStore } from "./lease.ts";

interface LeaseObject extends KubeObject {
  spec?: {
    holderIdentity?: string;
    leaseDurationSeconds?: number;
    acquireTime?: string;
    renewTime?: string;
    leaseTransitions?: number;
  };
}

/** The lease of that name; it is created when it is first taken. */
export function kubeLeaseStore(client: KubeClient, place: { namespace: string; name: string }): LeaseStore {
  const type = kubeTypes.lease;
  const call = (timeoutMs: number) => ({ timeoutMs, attemptsMax: 1, urgent: true });
  return {
    async read(timeoutMs) {
      const object = await client.get<LeaseObject>(type, place, call(timeoutMs));
      return object && leaseOf(object);
    },
    async create(lease, timeoutMs) {
      return leaseOf(await client.create(type, objectOf(place, lease), call(timeoutMs)));
    },
    async replace(lease, timeoutMs) {
      const object = objectOf(place, lease);
      const [uid = "", resourceVersion = ""] = lease.version.split("/");
      // Without its uid a PUT of a lease that was deleted makes a new one, whatever its resourceVersion.
      Object.assign(object.metadata, { uid, resourceVersion });
      return leaseOf(await client.replace(type, object, call(timeoutMs)));
    },
  };
}

function leaseOf({ metadata, spec = {} }: LeaseObject): Lease {
  const { uid, resourceVersion } = metadata;
  if (!uid || !resourceVersion)
    throw new AppError("Internal", `lease ${metadata.name} has no uid or no resourceVersion`);
  return {
    holder: spec.holderIdentity ?? "",
    durationMs: (spec.leaseDurationSeconds ?? 0) * 1000,
    acquiredAt: spec.acquireTime ?? "",
    renewedAt: spec.renewTime ?? "",
    transitions: spec.leaseTransitions ?? 0,
    version: `${uid}/${resourceVersion}`,
  };
}

function objectOf(place: { namespace: string; name: string }, lease: Omit<Lease, "version">): LeaseObject {
  return {
    apiVersion: apiVersionOf(kubeTypes.lease),
    kind: kubeTypes.lease.kind,
    metadata: { ...place },
    spec: {
      holderIdentity: lease.holder,
      leaseDurationSeconds: Math.max(1, Math.ceil(lease.durationMs / 1000)),
      acquireTime: micro(lease.acquiredAt),
      renewTime: micro(lease.renewedAt),
      leaseTransitions: lease.transitions,
    },
  };
}

/** Microseconds, which the type asks for. */
function micro(iso: string): string {
  return iso.replace(/\.(\d{3})Z$/, ".$1000Z");
}
