/** Kubernetes objects as they go over the wire, and where each type is served. */

export interface ObjectMeta {
  name: string;
  namespace?: string;
  uid?: string;
  resourceVersion?: string;
  generation?: number;
  creationTimestamp?: string;
  deletionTimestamp?: string;
  labels?: Record<string, string>;
  annotations?: Record<string, string>;
  finalizers?: string[];
  ownerReferences?: OwnerReference[];
}

export interface OwnerReference {
  apiVersion: string;
  kind: string;
  name: string;
  uid: string;
  controller?: boolean;
  blockOwnerDeletion?: boolean;
}

export interface KubeObject {
  apiVersion: string;
  kind: string;
  metadata: ObjectMeta;
}

/** A type of objects. `group` is empty for the core ones. */
export interface ObjectType {
  group: string;
  version: string;
  kind: string;
  plural: string;
  namespaced: boolean;
}

/** What the brain works with besides its own kinds. */
export const kubeTypes = {
  namespace: core("Namespace", "namespaces", false),
  node: core("Node", "nodes", false),
  persistentVolume: core("PersistentVolume", "persistentvolumes", false),
  persistentVolumeClaim: core("PersistentVolumeClaim", "persistentvolumeclaims", true),
  configMap: core("ConfigMap", "configmaps", true),
  secret: core("Secret", "secrets", true),
  lease: { group: "coordination.k8s.io", version: "v1", kind: "Lease", plural: "leases", namespaced: true },
  event: { group: "events.k8s.io", version: "v1", kind: "Event", plural: "events", namespaced: true },
  storageClass: {
    group: "storage.k8s.io",
    version: "v1",
    kind: "StorageClass",
    plural: "storageclasses",
    namespaced: false,
  },
  customResourceDefinition: {
    group: "apiextensions.k8s.io",
    version: "v1",
    kind: "CustomResourceDefinition",
    plural: "customresourcedefinitions",
    namespaced: false,
  },
} as const satisfies Record<string, ObjectType>;

function core<K extends string, P extends string, N extends boolean>(kind: K, plural: P, namespaced: N) {
  return { group: "", version: "v1", kind, plural, namespaced } as const;
}

/** `apps/v1`, `v1`. */
export function apiVersionOf(type: ObjectType): string {
  return type.group === "" ? type.version : `${type.group}/${type.version}`;
}

/** The path of a type's list, of one object, or of a subresource of it. Without a namespace: of all namespaces. */
export function pathOf(
  type: ObjectType,
  at: { namespace?: string | undefined; name?: string; subresource?: string } = {},
): string {
  const root = type.group === "" ? `/api/${type.version}` : `/apis/${type.group}/${type.version}`;
  const within = type.namespaced && at.namespace !== undefined ? `/namespaces/${encodeURIComponent(at.namespace)}` : "";
  const name = at.name === undefined ? "" : `/${encodeURIComponent(at.name)}`;
  return `${root}${within}/${type.plural}${name}${at.subresource === undefined ? "" : `/${at.subresource}`}`;
}

/** `namespace/name`, or the name alone for what has no namespace. */
export function keyOf(object: { metadata: { name: string; namespace?: string } }): string {
  const { name, namespace } = object.metadata;
  return namespace === undefined || namespace === "" ? name : `${namespace}/${name}`;
}
