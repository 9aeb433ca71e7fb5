/**
 * What the brain asks of the API server: the one list. `deploy/manifests/rbac.yaml` grants this and nothing else, and tests run each of it
 * under the brain's service account.
 */
import { apiGroup } from "@couchestor/common/crd/object.ts";
import { openEbsGroup } from "../kube/mayastor-objects.ts";

export type Verb = "get" | "list" | "watch" | "create" | "update" | "patch" | "delete";

export interface Need {
  /** Empty for the core group. */
  group: string;
  /** With its subresource: `ecstripes/status`. */
  resource: string;
  verbs: readonly Verb[];
  /** Only in this namespace. */
  namespace?: string;
  /** Only the object of this name. */
  name?: string;
}

/** Where the brain runs, by the manifests. */
export const brainNamespace = "couchestor";
export const brainServiceAccount = "couchestor-brain";
export const brainLease = "couchestor-brain";
export const webhookConfiguration = "couchestor";
/** Which leads agents to the leader. */
export const brainService = "couchestor-brain";
/** Events of objects without a namespace are kept there. */
export const eventNamespace = "default";

const read = ["get", "list", "watch"] as const;
const ours = (resource: string, verbs: readonly Verb[]): Need => ({ group: apiGroup, resource, verbs });

export const brainNeeds: readonly Need[] = [
  ours("storagepolicies", read),
  ours("storagepolicies/status", ["update"]),
  ours("erasurecodingpolicies", read),
  ours("erasurecodingpolicies/status", ["update"]),
  ours("migrations", [...read, "create", "update", "delete"]),
  ours("migrations/status", ["update"]),
  ours("ecvolumes", [...read, "create", "delete"]),
  ours("ecvolumes/status", ["update"]),
  ours("ecstripes", [...read, "create", "update", "delete"]),
  ours("ecstripes/status", ["update"]),
  ours("volumetombstones", [...read, "create", "delete"]),
  ours("volumetombstones/status", ["update"]),
  ours("storagenodes", [...read, "create", "update"]),
  ours("storagenodes/status", ["update"]),
  ours("clusters", [...read, "create", "update"]),
  { group: "", resource: "persistentvolumes", verbs: [...read, "patch"] },
  { group: "", resource: "persistentvolumeclaims", verbs: read },
  // Mayastor's own, where a cluster has them.
  { group: openEbsGroup, resource: "diskpools", verbs: ["list"] },
  { group: openEbsGroup, resource: "mayastorvolumes", verbs: ["list"] },
  {
    group: "admissionregistration.k8s.io",
    resource: "validatingwebhookconfigurations",
    verbs: ["get", "update"],
    name: webhookConfiguration,
  },
  { group: "coordination.k8s.io", resource: "leases", verbs: ["create"], namespace: brainNamespace },
  {
    group: "coordination.k8s.io",
    resource: "leases",
    verbs: ["get", "update"],
    namespace: brainNamespace,
    name: brainLease,
  },
  ...["ipv4", "ipv6"].map(
    (family): Need => ({
      group: "discovery.k8s.io",
      resource: "endpointslices",
      verbs: ["get", "update"],
      namespace: brainNamespace,
      name: `${brainService}-${family}`,
    }),
  ),
  { group: "events.k8s.io", resource: "events", verbs: ["create", "patch"], namespace: eventNamespace },
];
