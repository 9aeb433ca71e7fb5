/** Volumes and pools as the control plane has them now, joined with what Kubernetes knows of them. */
import type { MayastorObjectsSeen } from "../kube/mayastor-objects.ts";
import type { MayastorClient } from "../mayastor/client.ts";
import {
  requiredPoolLabels,
  tieredPools,
  tieredReplicas,
  type VolumeAllowances,
  volumeBlock,
} from "../mayastor/mapping.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { ClaimedVolume } from "./kube-volumes.ts";
import type { Block, TieredPool, TieredVolume } from "./model.ts";
import { objectWarnings } from "./object-warnings.ts";
import { retryBlock } from "./retry.ts";

export interface World {
  volumes: TieredVolume[];
  pools: TieredPool[];
  unreadable: string[];
}

export interface WorldSources {
  mayastor: Pick<MayastorClient, "volumes" | "pools" | "nodes">;
  claimed: Iterable<ClaimedVolume>;
  migrations: readonly KnownMigration[];
  allow: VolumeAllowances;
  nowMs: number;
  objects: MayastorObjectsSeen | undefined;
}

const firstGenerationBlock: Block = {
  action: "refuse",
  reason: "UnsupportedVersion",
  message: "it is a MayastorVolume of openebs.io/v1alpha1: Mayastor's first generation can't be migrated",
};

/** Reads everything. Throws when the control plane doesn't answer. */
export async function readWorld(sources: WorldSources, signal: AbortSignal | undefined): Promise<World> {
  const { mayastor, claimed, migrations, allow, nowMs, objects } = sources;
  const [volumes, pools, nodes] = await Promise.all([
    mayastor.volumes(signal),
    mayastor.pools(signal),
    mayastor.nodes(signal),
  ]);
  const byUuid = new Map(volumes.items.map((volume) => [volume.spec.uuid, volume]));
  const ofVolume = migrationsByVolume(migrations);
  const tiered = [...claimed].map(({ lastMigration, replicaCount, ...volume }): TieredVolume => {
    const found = byUuid.get(volume.uuid);
    const blocked: Block | undefined =
      (found === undefined ? undefined : volumeBlock(found, allow)) ??
      (found === undefined && objects?.firstGeneration.has(volume.uuid) ? firstGenerationBlock : undefined) ??
      retryBlock(ofVolume.get(volume.uuid) ?? [], nowMs);
    return {
      ...volume,
      sizeBytes: found?.spec.size ?? volume.sizeBytes,
      replicas: found === undefined ? undefined : tieredReplicas(found),
      requiredPoolLabels: found === undefined ? {} : requiredPoolLabels(found),
      ...(lastMigration === undefined ? {} : { lastMigration }),
      ...(replicaCount === undefined ? {} : { replicaCountBefore: replicaCount }),
      ...(blocked === undefined ? {} : { blocked }),
    };
  });
  const ours = new Set(migrations.flatMap(({ cordons }) => cordons));
  const found = tieredPools(pools.items, nodes.items, ours);
  const warnings = objects === undefined ? [] : objectWarnings(objects, found);
  return {
    volumes: tiered,
    pools: found,
    unreadable: [...volumes.unreadable, ...pools.unreadable, ...nodes.unreadable, ...warnings],
  };
}

/** By the uuid of their volume. */
export function migrationsByVolume(migrations: readonly KnownMigration[]): Map<string, KnownMigration[]> {
  const found = new Map<string, KnownMigration[]>();
  for (const migration of migrations) {
    const list = found.get(migration.volumeUuid);
    if (list === undefined) found.set(migration.volumeUuid, [migration]);
    else list.push(migration);
  }
  return found;
}
