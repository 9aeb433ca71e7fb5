/** What is done to a world while brains work in it: by machines, by people, by bad luck. Each thing at a time of its own. */

import { migrationKind } from "@couchestor/common/crd/migration.ts";
import type { SeenCall } from "../../testing/mayastor/control-plane.ts";
import {
  crashNode,
  deleteVolume,
  faultPool,
  fillPool,
  killCore,
  mendPool,
  moveTarget,
  publish,
  stallRebuilds,
  startNode,
  unpublish,
} from "../../testing/mayastor/environment.ts";
import type { TruthVolume } from "../../testing/mayastor/truth.ts";
import type { World } from "./world.ts";

/** A kind of trouble. `heavy`: copies may be lost by it, so that a migration may be right to give up. */
type Trouble = (world: World, volume: TruthVolume) => void;

const minute = 60_000;

export const troubles: Readonly<Record<string, Trouble>> = {
  crashNode: (world) => {
    const node = pick(world, [...world.cluster.nodes.keys()]);
    crashNode(world.cluster, node);
    later(world, 2 * minute, () => startNode(world.cluster, node));
  },
  blip: (world) => {
    const node = pick(world, [...world.cluster.nodes.keys()]);
    crashNode(world.cluster, node);
    world.clock.after(1_000 + world.prng.below(8_000), () => startNode(world.cluster, node));
  },
  faultPool: (world) => {
    const pool = pick(world, [...world.cluster.pools.keys()]);
    faultPool(world.cluster, pool, false);
    later(world, 3 * minute, () => mendPool(world.cluster, pool));
  },
  losePool: (world) => faultPool(world.cluster, pick(world, [...world.cluster.pools.keys()]), true),
  moveTarget: (world, volume) => void moveTarget(world.cluster, volume, pick(world, [...world.cluster.nodes.keys()])),
  killCore: (world) => killCore(world.cluster, 5_000 + world.prng.below(30_000)),
  storeDown: (world) => {
    world.cluster.storeDown = true;
    later(world, minute, () => {
      world.cluster.storeDown = false;
    });
  },
  stall: (world, volume) => {
    stallRebuilds(world.cluster, volume, true);
    later(world, 15 * minute, () => stallRebuilds(world.cluster, volume, false));
  },
  fillPool: (world) => fillPool(world.cluster, pick(world, [...world.cluster.pools.keys()]), 0),
  refusePool: (world) => {
    const pool = world.cluster.pool(pick(world, [...world.cluster.pools.keys()]));
    pool.refusesReplicas = true;
    later(world, 5 * minute, () => {
      pool.refusesReplicas = false;
    });
  },
  republish: (world, volume) => {
    if (!unpublish(world.cluster, volume)) return;
    later(world, 2 * minute, () => {
      publish(world.cluster, volume, pick(world, [...world.cluster.nodes.keys()]));
    });
  },
  resize: (_, volume) => {
    volume.sizeBytes += 1024 ** 3;
  },
  snapshot: (_, volume) => {
    volume.snapshots += 1;
  },
  deleteVolume: (world, volume) => {
    world.watch.taken(volume.uuid);
    deleteVolume(world.cluster, volume, "admin");
  },
  otherVolume: (world) => {
    const other = world.cluster.addVolume(world.prng.uuid(), [pick(world, [...world.cluster.pools.keys()])]);
    later(world, minute, () => deleteVolume(world.cluster, other, "admin"));
  },
  cordonPool: (world) => cordonPool(world, pick(world, [...world.cluster.pools.keys()]), 5),
  cordonNode: (world) => {
    const node = pick(world, [...world.cluster.nodes.keys()]);
    world.watch.foreignNodes.add(`${node} maintenance`);
    world.cluster.node(node).cordons.add("maintenance");
  },
  ourName: (world) => {
    const uid = world.migration(pick(world, world.names))?.metadata.uid?.slice(0, 8);
    const node = pick(world, [...world.cluster.nodes.keys()]);
    if (uid === undefined || [...world.cluster.node(node).cordons].some((label) => label.includes(uid))) return;
    for (let n = 1; n <= 40; n++) {
      world.watch.foreignNodes.add(`${node} couchestor-${uid}-${n}`);
      world.cluster.node(node).cordons.add(`couchestor-${uid}-${n}`);
    }
  },
  scale: (world, volume) => {
    const count = volume.numReplicas + (world.prng.below(2) === 0 ? 1 : -1);
    world.watch.taken(volume.uuid);
    const path = `/v0/volumes/${volume.uuid}/replica_count/${count}`;
    void world.plane.request({ method: "PUT", path }, "admin").catch(() => undefined);
  },
  abort: (world) => abort(world, pick(world, world.names)),
  deleteMigration: (world) => void world.store.delete(migrationKind, pick(world, world.names)).catch(() => undefined),
  killBrain: (world) => world.brains.at(-1)?.kill(),
  changeLeader: (world) => world.changeLeader(),
  upgrade: ({ cluster }) => {
    const { minor, patch } = cluster.settings.version;
    cluster.settings.version = { minor: Math.min(12, minor + 1), patch };
  },
  jumpWall: (world) => world.clock.jumpWall(world.prng.below(7_200_000) - 3_600_000),
  ecSick: (world) => {
    for (const pool of world.cluster.pools.values()) {
      const { erasureCoded } = pool;
      if (erasureCoded === undefined) continue;
      for (const volume of world.cluster.volumes.values()) {
        world.cluster.transition(volume, "fault", `the erasure-coded volume under ${pool.id} has lost shards`, () => {
          erasureCoded.healthy = false;
        });
      }
    }
  },
};

/** Does it, at once. */
export function disturb(world: World, trouble: keyof typeof troubles, volume: TruthVolume | undefined): void {
  if (world.calm || volume === undefined || !world.cluster.volumes.has(volume.uuid)) return;
  world.plane.catchUp();
  world.disturbances += 1;
  world.trace(`trouble: ${trouble}`);
  for (const each of world.cluster.volumes.keys()) world.watch.faulted(each);
  troubles[trouble]?.(world, volume);
}

/** Whatever is wrong is put right, and stays so. */
export function calmDown(world: World): void {
  const { cluster } = world;
  world.plane.catchUp();
  world.calm = true;
  cluster.storeDown = false;
  for (const node of cluster.nodes.keys()) startNode(cluster, node);
  for (const pool of cluster.pools.values()) {
    mendPool(cluster, pool.id);
    pool.refusesReplicas = false;
  }
  for (const volume of cluster.volumes.values()) stallRebuilds(cluster, volume, false);
  if ([...cluster.nodes.values()].some((node) => node.dirty)) killCore(cluster, 10_000);
}

/** Somebody calls the migration off right after a call of it. */
export function callOff(world: World, { path }: SeenCall): void {
  const name = world.names.find((each) => {
    const { spec, status } = world.migration(each) ?? {};
    return path.includes(spec?.volumeUuid ?? "-") || status?.heldSteering?.some(({ target }) => path.includes(target));
  });
  if (name === undefined) return;
  world.clock.after(500 + world.prng.below(8_000), () => abort(world, name));
}

function abort(world: World, name: string): void {
  const migration = world.migration(name);
  if (migration === undefined || migration.status?.outcome !== undefined) return;
  world.disturbances += 1;
  const spec = { ...migration.spec, abort: true };
  void world.store.update(migrationKind, { ...migration, spec }).catch(() => undefined);
}

/** Somebody cordons the pool that we are about to cordon, a moment before we do. */
export function rivalCordon(world: World, { method, path }: SeenCall): void {
  const pool = /^\/v0\/pools\/([^/]+)\/cordon$/.exec(path)?.[1];
  if (pool === undefined || method !== "PUT" || world.cluster.pool(pool).cordon.replicas) return;
  world.disturbances += 1;
  world.trace(`somebody cordons ${pool}`);
  world.watch.foreignPools.add(pool);
  world.cluster.pool(pool).cordon.replicas = true;
}

/** A person cordons a pool; if the server says it is cordoned already, again later. Never while a call of ours about that pool is under way: nobody could tell whose it is then. */
function cordonPool(world: World, pool: string, tries: number): void {
  const { watch, cluster } = world;
  const sinceMs = cluster.nowMs - (watch.touchedMs.get(pool) ?? Number.NEGATIVE_INFINITY);
  const isHeld = world.names.some((name) =>
    world.migration(name)?.status?.heldSteering?.some((held) => held.target === pool),
  );
  if (sinceMs > 120_000 && !isHeld && !cluster.pool(pool).cordon.replicas) {
    watch.foreignPools.add(pool);
    cluster.pool(pool).cordon.replicas = true;
  } else if (tries > 0) world.clock.after(2 * minute, () => cordonPool(world, pool, tries - 1));
}

function pick(world: World, from: readonly string[]): string {
  return from[world.prng.below(Math.max(1, from.length))] ?? "";
}

function later(world: World, aboutMs: number, run: () => void): void {
  world.clock.after(aboutMs / 2 + world.prng.below(aboutMs), () => {
    world.plane.catchUp();
    run();
  });
}
