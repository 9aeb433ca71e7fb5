/** Puts lost shards again, decoded from the fewest others: same generation, encode act and throughSeq, with this act as their put act [P2]. */
import type { RebuildTask } from "@couchestor/common/api/acts.ts";
import type { ShardLocation } from "@couchestor/common/api/maps.ts";
import { blockBytes, dataShards, shardBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type ActContext, actStripesAtOnce, forEachAtOnce, type Throttle, throttleOf, viewOf } from "./act-context.ts";
import type { ActMeter } from "./act-meter.ts";
import { rebuildPlan } from "./rebuild-plan.ts";
import { chunkKeyOf, type StripeView, shardPlaces } from "./shard-places.ts";
import { StripeFetch } from "./stripe-fetch.ts";
import { StripeImages } from "./stripe-images.ts";
import { stripeBytesOf } from "./stripe-layout.ts";
import { putShards } from "./stripe-writer.ts";

/** Runs the act to its end; every chunk is durable on return. Throws what failed; nothing is under way any more then. */
export async function runRebuild(
  context: ActContext,
  task: RebuildTask,
  meter: ActMeter,
  signal: AbortSignal,
): Promise<void> {
  const throttle = throttleOf(task, context);
  await context.finder.learn(task.run, task.nodes);
  await forEachAtOnce(rebuildPlan(task), actStripesAtOnce, signal, async ({ stripe, targets }, both) => {
    if (targets.length > 0) await rebuildStripe(context, task, { stripe, targets }, { throttle, meter }, both);
    meter.stripes++;
  });
}

async function rebuildStripe(
  context: ActContext,
  task: RebuildTask,
  { stripe, targets }: { stripe: number; targets: ShardLocation[] },
  { throttle, meter }: { throttle: Throttle; meter: ActMeter },
  signal: AbortSignal,
): Promise<void> {
  const view = viewOf(task, stripe);
  const { code } = task.run;
  const images = new StripeImages(code, stripeBytesOf(task.volume, stripe));
  await throttle(shardBytes(code, images.stripeBytes) * (dataShards(code) + targets.length), signal);
  const release = await context.budget.acquire(2 * images.bytes, "background", signal);
  try {
    const wanted = targets.map((target) => target.shardIndex);
    const fetch = new StripeFetch(view, {
      ...context,
      nodeOfPool: context.finder.nodeOf,
      signal,
      exclude: new Set(wanted),
    });
    const whole = (shardIndex: number) => ({
      shardIndex,
      firstBlock: 0,
      blockCount: shardBytes(code, images.stripeBytes) / blockBytes,
    });
    const known = new Set<number>();
    await fetch.blocks(wanted.map(whole));
    meter.read(fetch.counts);
    for (let shard = 0; shard < images.shards.length; shard++) {
      const bytes = fetch.held(whole(shard));
      if (bytes === undefined) continue;
      (images.shards[shard] as Uint8Array).set(bytes);
      known.add(shard);
    }
    const digest = await sourceDigest(context, view, fetch, new Set(wanted), signal);
    checkDigest(context, view, images, known, digest);
    const { generation, encodeEpoch, encodeAct, throughSeq } = task.run;
    const encoding = { generation, encodeEpoch, encodeAct, throughSeq, placementVersion: task.placementVersion };
    const identity = { volume: task.volume, code, stripe, stripeBytes: images.stripeBytes, ...encoding };
    images.seal(identity, targets, task.act, digest, context);
    meter.wrote(await putShards(context.peers, { number: stripe, images }, targets, task.nodes, signal));
  } finally {
    release();
  }
}

/** The stripe's digest as one of the shards that were read says it; asked of this node's first. */
async function sourceDigest(
  context: ActContext,
  view: StripeView,
  fetch: StripeFetch,
  excluded: ReadonlySet<number>,
  signal: AbortSignal,
): Promise<number> {
  const places = shardPlaces(view, context.finder.nodeOf)
    .filter((place) => place !== undefined)
    .filter((place) => !excluded.has(place.shardIndex) && !fetch.losses.has(place.shardIndex))
    .filter((place) => fetch.held({ shardIndex: place.shardIndex, firstBlock: 0, blockCount: 1 }) !== undefined);
  const local = places.filter((place) => context.peers.standing(place.nodeName, view.nodes) === "local");
  for (const place of [...local, ...places.filter((other) => !local.includes(other))]) {
    const peer = context.peers.peer(place.nodeName, view.nodes);
    const [result] = await peer.verify(place.poolUuid, [chunkKeyOf(view, place.shardIndex)], signal).catch(() => []);
    signal.throwIfAborted();
    if (result?.state === "ok" && result.info !== undefined) return result.info.stripeDigest;
  }
  throw new AppError(
    "Unavailable",
    `stripe ${view.stripe}: none of the shards that were read could be verified as a whole`,
  );
}

/** Decodes what is still lacking, where that needs no more reading, and compares the digest of all shards with the stripe's: what is put must belong to the rest. */
function checkDigest(
  context: ActContext,
  view: StripeView,
  images: StripeImages,
  known: ReadonlySet<number>,
  digest: number,
): void {
  const lacking = images.shards
    .keys()
    .filter((shard) => !known.has(shard))
    .toArray();
  if (lacking.length > 0) {
    // A local repair of an LRC reads too few shards to know the others.
    if (context.plan(view.run.code, known, lacking) === undefined) return;
    const present = new Map([...known].map((shard) => [shard, images.shards[shard] as Uint8Array]));
    context.codec.reconstruct(
      view.run.code,
      present,
      lacking,
      lacking.map((shard) => images.shards[shard] as Uint8Array),
    );
  }
  if (images.digest(context) === digest) return;
  throw new AppError(
    "ChunkCorrupt",
    `stripe ${view.stripe} of ${view.volume.name}: the shards that were read do not belong together; nothing was put. A deep scrub tells which one is wrong`,
    { data: { stripe: view.stripe, volumeUuid: view.volume.volumeUuid } },
  );
}
