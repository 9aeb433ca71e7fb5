/** Encodes bytes that a client sends into the stripes of one run and puts their chunks. */
import type { EncodeTask } from "@couchestor/common/api/acts.ts";
import { shardBytes, shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { type ActContext, actStripesAtOnce, throttleOf } from "./act-context.ts";
import type { ActMeter } from "./act-meter.ts";
import { BodyCursor } from "./body-cursor.ts";
import { StripeImages } from "./stripe-images.ts";
import { scatter, stripeBytesOf, stripeCountOf } from "./stripe-layout.ts";
import { putShards } from "./stripe-writer.ts";

/** A sender must send something within this time. */
export const encodeStallMsMax = 30_000;

/** Refuses a task that contradicts itself, before anything is put. Throws `InvalidArgument` naming the field. */
export function checkEncodeTask(task: EncodeTask): void {
  const { volume, code, firstStripe, stripeCount, contentBytes, targets, act, generation } = task;
  const refuse = (field: string, came: unknown, allowed: string): never => {
    throw new AppError("InvalidArgument", `encode task: ${field}: got ${came}, allowed: ${allowed}`, {
      data: { field, came, allowed },
    });
  };
  if (act.volumeUuid !== volume.volumeUuid)
    refuse("act.volumeUuid", act.volumeUuid, `the volume's, ${volume.volumeUuid}`);
  if (generation === 0) refuse("generation", 0, "1 or more: generation 0 means never written");
  const total = stripeCountOf(volume);
  if (stripeCount === 0 || firstStripe + stripeCount > total) {
    refuse("stripes", `${firstStripe} … ${firstStripe + stripeCount - 1}`, `within 0 … ${total - 1}`);
  }
  const end = Math.min(volume.sizeBytes, (firstStripe + stripeCount) * volume.stripeSizeBytes);
  const due = end - firstStripe * volume.stripeSizeBytes;
  if (contentBytes !== due) refuse("contentBytes", contentBytes, `${due}, as the run's stripes hold`);
  const indices = new Set(targets.map((target) => target.shardIndex));
  const shards = shardCount(code);
  const complete = targets.length === shards && [...Array(shards).keys()].every((index) => indices.has(index));
  if (!complete) refuse("targets", `shards ${[...indices].join(", ")}`, `each of 0 … ${shards - 1} once`);
  const foreign = targets.find((target) => target.putEpoch !== act.epoch || target.putAct !== act.actNo);
  if (foreign)
    refuse("targets.putAct", `${foreign.putEpoch}.${foreign.putAct}`, `this act's, ${act.epoch}.${act.actNo}`);
}

/** Runs the act to its end; every chunk is durable on return. Throws what failed, naming the pool; nothing is under way any more then. */
export async function runEncode(
  context: ActContext,
  task: EncodeTask,
  body: ReadableStream<Uint8Array>,
  meter: ActMeter,
  signal: AbortSignal,
): Promise<{ contentSha256: string }> {
  const cursor = new BodyCursor(body, {
    clock: context.clock,
    stallMsMax: encodeStallMsMax,
    bytesDue: task.contentBytes,
  });
  const hash = new Bun.CryptoHasher("sha256");
  const throttle = throttleOf(task, context);
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  const underWay = new Set<Promise<void>>();
  let failure: { error: unknown } | undefined;
  const fail = (error: unknown) => {
    failure ??= { error };
    stop.abort(error);
  };
  try {
    for (let stripe = task.firstStripe; stripe < task.firstStripe + task.stripeCount; stripe++) {
      while (underWay.size >= actStripesAtOnce) await Promise.race(underWay);
      if (both.aborted) break;
      const { images, release } = await readStripe(context, task, stripe, { cursor, hash, meter }, both);
      const finishing = finishStripe(context, task, stripe, images, { throttle, meter }, both)
        .catch(fail)
        .finally(() => {
          release();
          underWay.delete(finishing);
        });
      underWay.add(finishing);
    }
    if (!both.aborted) await cursor.expectEnd(both);
  } catch (error) {
    fail(error);
  }
  await Promise.all(underWay);
  if (failure !== undefined || signal.aborted) await cursor.cancel();
  signal.throwIfAborted();
  if (failure !== undefined) throw failure.error;
  return { contentSha256: hash.digest("hex") };
}

interface Reading {
  cursor: BodyCursor;
  hash: Bun.CryptoHasher;
  meter: ActMeter;
}

async function readStripe(
  context: ActContext,
  task: EncodeTask,
  stripe: number,
  reading: Reading,
  signal: AbortSignal,
) {
  const stripeBytes = stripeBytesOf(task.volume, stripe);
  // Twice: the images, and what of them the HTTP client holds while they are sent.
  const estimate = 2 * shardBytes(task.code, stripeBytes) * shardCount(task.code);
  const release = await context.budget.acquire(estimate, "foreground", signal);
  try {
    const images = new StripeImages(task.code, stripeBytes);
    const data = images.data;
    let at = 0;
    await reading.cursor.take(stripeBytes, signal, (piece) => {
      scatter(task.code, data, at, piece);
      reading.hash.update(piece);
      reading.meter.bytesMoved += piece.byteLength;
      at += piece.byteLength;
    });
    return { images, release };
  } catch (error) {
    release();
    throw error;
  }
}

async function finishStripe(
  context: ActContext,
  task: EncodeTask,
  stripe: number,
  images: StripeImages,
  tools: { throttle: (bytes: number, signal: AbortSignal) => Promise<void>; meter: ActMeter },
  signal: AbortSignal,
): Promise<void> {
  const { act, volume, code, generation, throughSeq, placementVersion, targets, nodes } = task;
  images.encode(context);
  const identity = { volume, code, stripe, stripeBytes: images.stripeBytes, generation, throughSeq, placementVersion };
  const encoding = { encodeEpoch: act.epoch, encodeAct: act.actNo };
  images.seal({ ...identity, ...encoding }, targets, act, images.digest(context), context);
  await tools.throttle(images.bytes, signal);
  tools.meter.wrote(await putShards(context.peers, { number: stripe, images }, targets, nodes, signal));
  tools.meter.stripes++;
}
