/** What the brain keeps of the cluster's objects, kept up to date: of what there may be very many, as little as its readers need. */

import { ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import type { ErasureCodingPolicy } from "@couchestor/common/crd/erasure-coding-policy.ts";
import { erasureCodingPolicyKind } from "@couchestor/common/crd/erasure-coding-policy.ts";
import { migrationKind } from "@couchestor/common/crd/migration.ts";
import type { ResourceKind } from "@couchestor/common/crd/object.ts";
import { type StoragePolicy, storagePolicyKind } from "@couchestor/common/crd/storage-policy.ts";
import { Informer, type InformerDeps } from "../kube/informer.ts";
import { objectTypeOf } from "../kube/kube-store.ts";
import { type KubeObject, kubeTypes, type ObjectType } from "../kube/objects.ts";
import { keepStripe, keepVolume, keepWhole, NamePool } from "../policies/kept.ts";
import type { Part } from "../runtime/manager.ts";
import { keepClaim, keepPersistentVolume } from "../tiering/kube-volumes.ts";
import { keepMigration } from "./kept-migration.ts";

/** What is seen of any informer. */
export interface CacheState {
  kind: string;
  synced: boolean;
  objects: number;
  /** For how long the API server was not heard; undefined before the first list. */
  staleMs: number | undefined;
}

export type Caches = ReturnType<typeof makeCaches>;

/** The informers, not started. */
export function makeCaches(deps: InformerDeps) {
  const names = new NamePool();
  const own = (kind: ResourceKind): ObjectType => objectTypeOf(kind);
  const make = <Kept extends { metadata: { name: string; namespace?: string; resourceVersion?: string } }>(
    type: ObjectType,
    keep: (object: KubeObject) => Kept,
  ) => new Informer<KubeObject, Kept>(deps, { type, keep });
  return {
    policies: make(own(storagePolicyKind as ResourceKind), keepWhole<StoragePolicy>()),
    codingPolicies: make(own(erasureCodingPolicyKind as ResourceKind), keepWhole<ErasureCodingPolicy>()),
    migrations: make(own(migrationKind as ResourceKind), keepMigration),
    ecVolumes: make(own(ecVolumeKind as ResourceKind), keepVolume(names)),
    stripes: make(own(ecStripeKind as ResourceKind), keepStripe(names)),
    volumes: make(kubeTypes.persistentVolume, keepPersistentVolume),
    claims: make(kubeTypes.persistentVolumeClaim, keepClaim),
  };
}

/** How each of them stands. */
export function cacheStates(caches: Caches): CacheState[] {
  return Object.entries(caches).map(([kind, informer]) => ({
    kind,
    synced: informer.synced,
    objects: informer.size,
    staleMs: informer.staleMs,
  }));
}

/** All informers as one part. */
export function cachesPart(caches: Caches): Part {
  const all = Object.values(caches);
  return {
    name: "caches",
    start: () => {
      for (const informer of all) informer.start();
    },
    stop: async () => {
      await Promise.all(all.map((informer) => informer.stop()));
    },
  };
}
