/** Puts the chunks of one stripe. All must be durable, else the act fails: with the resource store as authority only complete stripes are committed. */
import type { NodeAddress, ShardLocation } from "@couchestor/common/api/maps.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { Peers } from "../ports.ts";
import type { StripeImages } from "./stripe-images.ts";

export interface PutCounts {
  chunksPut: number;
  bytesWritten: number;
}

/** Puts each target's shard. On the first failure the rest is given up; returns or throws only when nothing is under way any more. */
export async function putShards(
  peers: Peers,
  stripe: { number: number; images: StripeImages },
  targets: readonly ShardLocation[],
  nodes: readonly NodeAddress[],
  signal: AbortSignal,
): Promise<PutCounts> {
  const stop = new AbortController();
  const both = AbortSignal.any([signal, stop.signal]);
  let failure: { target: ShardLocation; error: unknown } | undefined;
  const puts = targets.map(async (target) => {
    try {
      const image = stripe.images.images[target.shardIndex] as Uint8Array;
      await peers.peer(target.nodeName, nodes).put(target.poolUuid, image, both);
      return image.byteLength;
    } catch (error) {
      failure ??= { target, error };
      stop.abort(error);
      return 0;
    }
  });
  const written = await Promise.all(puts);
  signal.throwIfAborted();
  if (failure !== undefined) throw putFailed(stripe.number, failure.target, failure.error);
  return { chunksPut: written.length, bytesWritten: written.reduce((sum, bytes) => sum + bytes, 0) };
}

function putFailed(stripe: number, target: ShardLocation, error: unknown): AppError {
  const app = toAppError(error);
  const { shardIndex, poolName, poolUuid, nodeName } = target;
  return new AppError(
    app.code,
    `stripe ${stripe}: shard ${shardIndex} could not be put into pool ${poolName} on ${nodeName}: ${app.message}`,
    { data: { ...app.data, stripe, shardIndex, poolUuid, poolName, nodeName }, cause: error },
  );
}
