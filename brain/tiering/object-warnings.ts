/** What Mayastor's Kubernetes objects say that its control plane doesn't, in words. Pure. */
import type { MayastorObjectsSeen } from "../kube/mayastor-objects.ts";
import type { TieredPool } from "./model.ts";

const namedMax = 5;

/** Labels that differ, and volumes of Mayastor's first generation. */
export function objectWarnings(
  { diskPools, firstGeneration, problems }: MayastorObjectsSeen,
  pools: readonly Pick<TieredPool, "name" | "labels">[],
): string[] {
  const byName = new Map(pools.map((pool) => [pool.name, pool.labels]));
  const drift = diskPools.flatMap(({ name, labels }) => {
    const real = byName.get(name);
    if (real === undefined) return [];
    return Object.entries(labels).flatMap(([key, value]) => {
      if (real[key] === value) return [];
      const has = real[key] === undefined ? `no label ${key}` : `${key}=${real[key]}`;
      return [`DiskPool ${name} says ${key}=${value}, and Mayastor has ${has}: what Mayastor has counts`];
    });
  });
  const named = [...firstGeneration].sort().slice(0, namedMax).join(", ");
  const old =
    firstGeneration.size === 0
      ? []
      : [
          `${firstGeneration.size} MayastorVolume(s) of openebs.io/v1alpha1 (${named}${firstGeneration.size > namedMax ? " …" : ""}): UnsupportedVersion, they are of Mayastor's first generation, which can't be migrated`,
        ];
  return [...problems, ...drift, ...old];
}
