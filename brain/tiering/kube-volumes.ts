/** The volumes that Kubernetes knows of: PersistentVolumes of Mayastor's driver with the claims that use them. Informers keep this and no more. */
import { parseBytes } from "@couchestor/common/units/bytes.ts";
import type { KubeObject } from "../kube/objects.ts";
import { mayastorDriver } from "../mayastor/mapping.ts";
import { lastMigrationAnnotation } from "./cooldown.ts";
import { replicaCountAnnotation } from "./erasure-coded.ts";

export interface KeptVolume {
  metadata: { name: string; resourceVersion?: string };
  driver: string;
  volumeHandle: string;
  storageClassName: string;
  sizeBytes: number;
  /** The claim that it is bound to, and which one of that name. */
  claim: { namespace: string; name: string; uid: string } | undefined;
  lastMigration: string | undefined;
  replicaCount: string | undefined;
}

export interface KeptClaim {
  metadata: { name: string; namespace: string; resourceVersion?: string };
  uid: string;
  labels: Readonly<Record<string, string>>;
}

/** A volume with a claim. */
export interface ClaimedVolume {
  uuid: string;
  name: string;
  claim: { namespace: string; name: string; labels: Readonly<Record<string, string>> };
  storageClassName: string;
  sizeBytes: number;
  lastMigration: string | undefined;
  /** How many replicas it had before one was enough, as written on it. */
  replicaCount?: string | undefined;
}

interface RawVolume extends KubeObject {
  spec?: {
    capacity?: { storage?: unknown };
    storageClassName?: unknown;
    csi?: { driver?: unknown; volumeHandle?: unknown };
    claimRef?: { namespace?: unknown; name?: unknown; uid?: unknown };
  };
}

/** For an informer of PersistentVolumes. */
export function keepPersistentVolume(object: KubeObject): KeptVolume {
  const { metadata, spec = {} } = object as RawVolume;
  const claim = spec.claimRef;
  return {
    metadata: named(metadata),
    driver: text(spec.csi?.driver),
    volumeHandle: text(spec.csi?.volumeHandle),
    storageClassName: text(spec.storageClassName),
    sizeBytes: quantity(spec.capacity?.storage),
    claim:
      claim === undefined
        ? undefined
        : { namespace: text(claim.namespace), name: text(claim.name), uid: text(claim.uid) },
    lastMigration: metadata.annotations?.[lastMigrationAnnotation],
    replicaCount: metadata.annotations?.[replicaCountAnnotation],
  };
}

/** For an informer of PersistentVolumeClaims. */
export function keepClaim(object: KubeObject): KeptClaim {
  const { metadata } = object;
  return {
    metadata: { ...named(metadata), namespace: metadata.namespace ?? "" },
    uid: metadata.uid ?? "",
    labels: metadata.labels ?? {},
  };
}

/** Those of Mayastor's driver that a claim uses. One whose claim is gone, or was made anew, is nobody's. */
export function* claimedVolumes(
  volumes: Iterable<KeptVolume>,
  claimOf: (key: string) => KeptClaim | undefined,
): Generator<ClaimedVolume> {
  for (const {
    metadata,
    driver,
    volumeHandle,
    storageClassName,
    sizeBytes,
    claim,
    lastMigration,
    replicaCount,
  } of volumes) {
    if (driver !== mayastorDriver || volumeHandle === "" || claim === undefined) continue;
    const found = claimOf(`${claim.namespace}/${claim.name}`);
    if (found === undefined || found.uid !== claim.uid) continue;
    const { namespace, name } = claim;
    yield {
      uuid: volumeHandle,
      name: metadata.name,
      claim: { namespace, name, labels: found.labels },
      storageClassName,
      sizeBytes,
      lastMigration,
      replicaCount,
    };
  }
}

function named({ name, resourceVersion }: { name: string; resourceVersion?: string }) {
  return resourceVersion === undefined ? { name } : { name, resourceVersion };
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

/** The control plane's own figure outranks this one; a quantity of a form that isn't known counts as none. */
function quantity(value: unknown): number {
  try {
    return parseBytes(String(value));
  } catch {
    return 0;
  }
}
