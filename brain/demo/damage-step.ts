/** A step of the demo: bytes of a chunk are flipped on disk, behind everybody's back. */
import { type FileHandle, open } from "node:fs/promises";
import type { StripeView, VolumeView } from "@couchestor/common/api/admin.ts";
import { blockBytes, dataShards, shardBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { findBytes, flipBytes, type Place } from "./disk.ts";
import { type Stage, volumeName } from "./stage.ts";

const flippedBytes = 64;

export interface Damage {
  stripe: number;
  shardIndex: number;
  node: string;
  pool: string;
  place: Place;
  /** False if the file repeats itself, so that these bytes may be another chunk's. */
  certain: boolean;
}

/** Flips the first bytes of one chunk in its pool's files. */
export async function damageStep(stage: Stage): Promise<Damage> {
  const damage = await stage.story.step("damage", "flip bytes of a chunk on disk", async () => {
    const found = await findChunkOnDisk(stage);
    await flipBytes(found.place, flippedBytes);
    const chunk = `stripe ${found.stripe}, shard ${found.shardIndex}${found.certain ? "" : " (or one like it)"}`;
    return {
      ok: true,
      value: found,
      text: `${flippedBytes} bytes of ${chunk} on ${found.node}/${found.pool}, at byte ${found.place.offset} of ${found.place.path.slice(stage.dir.length + 1)}`,
      figures: { ...found },
    };
  });
  if (damage === undefined) throw new Error("the step that damages a chunk gave no result");
  return damage;
}

/** Data shards hold the file's own bytes, so a block of the file is looked for in the pool that should have it; best where it is only once. */
async function findChunkOnDisk(stage: Stage): Promise<Damage> {
  const volume = await stage.client.volume(volumeName);
  const stripes = await stage.client.stripes(volumeName);
  const middle = (run: StripeView): number => Math.abs(run.runIndex - stripes.length / 2);
  const file = await open(stage.file.path, "r");
  let repeated: Damage | undefined;
  try {
    for (const run of stripes.toSorted((a, b) => middle(a) - middle(b))) {
      for (const damage of await findRun(stage, file, volume, run)) {
        if (damage.certain) return damage;
        repeated ??= damage;
      }
    }
  } finally {
    await file.close();
  }
  if (repeated !== undefined) return repeated;
  throw new AppError(
    "FailedPrecondition",
    "the file holds nothing but zeros, so its bytes can't be told from empty space on disk; take another file",
  );
}

/** The first blocks of the data shards of the run's first stripe, where they are on disk. */
async function findRun(stage: Stage, file: FileHandle, volume: VolumeView, run: StripeView): Promise<Damage[]> {
  const stripe = run.firstStripe;
  const start = stripe * volume.stripeSizeBytes;
  const shardLength = shardBytes(run.code, Math.min(volume.stripeSizeBytes, volume.sizeBytes - start));
  const found: Damage[] = [];
  for (let shardIndex = 0; shardIndex < dataShards(run.code); shardIndex++) {
    const block = Buffer.alloc(blockBytes);
    await file.read(block, 0, blockBytes, start + shardIndex * shardLength);
    const shard = run.shards.find((s) => s.shardIndex === shardIndex);
    const folder = poolPath(stage, shard?.nodeName, shard?.poolName);
    if (folder === undefined || shard === undefined || block.every((byte) => byte === 0)) continue;
    const places = await findBytes(folder, block, 2);
    const [place] = places;
    if (place === undefined) continue;
    found.push({ stripe, shardIndex, node: shard.nodeName, pool: shard.poolName, place, certain: places.length === 1 });
    if (places.length === 1) break;
  }
  return found;
}

function poolPath(stage: Stage, node: string | undefined, pool: string | undefined): string | undefined {
  return stage.cluster.agents.find((agent) => agent.name === node)?.pools.find((p) => p.name === pool)?.path;
}
