/** Where the bytes of a volume are: pure arithmetic from volume offsets to stripes, shards and blocks. */
import { blockBytes, type Code, dataShards, shardBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";

export interface VolumeShape {
  sizeBytes: number;
  stripeSizeBytes: number;
}

/** A part of one stripe. */
export interface StripeRange {
  stripe: number;
  offsetBytes: number;
  lengthBytes: number;
}

/** Whole blocks of one data shard, and where the wanted bytes among them go. */
export interface Piece {
  shardIndex: number;
  firstBlock: number;
  blockCount: number;
  /** The wanted bytes begin so far into the first block. */
  skipBytes: number;
  takeBytes: number;
  /** Their place in the range asked for. */
  intoOffset: number;
}

/** How many stripes the volume has. */
export function stripeCountOf(shape: VolumeShape): number {
  return Math.ceil(shape.sizeBytes / shape.stripeSizeBytes);
}

/** Bytes of the volume in this stripe: the policy's, but for the last one. */
export function stripeBytesOf(shape: VolumeShape, stripe: number): number {
  const bytes = Math.min(shape.stripeSizeBytes, shape.sizeBytes - stripe * shape.stripeSizeBytes);
  if (stripe >= 0 && bytes > 0) return bytes;
  throw new AppError(
    "InvalidArgument",
    `stripe: got ${stripe}, the volume has stripes 0 … ${stripeCountOf(shape) - 1}`,
    {
      data: { field: "stripe", came: stripe },
    },
  );
}

/** The stripes that a range of the volume touches, in order. Throws `InvalidArgument` for a range that is not within the volume. */
export function* stripesOfRange(shape: VolumeShape, offsetBytes: number, lengthBytes: number): Generator<StripeRange> {
  const end = offsetBytes + lengthBytes;
  if (offsetBytes < 0 || lengthBytes < 0 || end > shape.sizeBytes) {
    throw new AppError(
      "InvalidArgument",
      `range: got ${offsetBytes} … ${end}, the volume has bytes 0 … ${shape.sizeBytes}`,
      {
        data: { field: "range", offsetBytes, lengthBytes, sizeBytes: shape.sizeBytes },
      },
    );
  }
  for (let at = offsetBytes; at < end; ) {
    const stripe = Math.floor(at / shape.stripeSizeBytes);
    const offset = at - stripe * shape.stripeSizeBytes;
    const length = Math.min(shape.stripeSizeBytes - offset, end - at);
    yield { stripe, offsetBytes: offset, lengthBytes: length };
    at += length;
  }
}

/** The blocks of data shards that hold a range of a stripe of `stripeBytes`. */
export function piecesOfRange(code: Code, stripeBytes: number, offsetBytes: number, lengthBytes: number): Piece[] {
  const shard = shardBytes(code, stripeBytes);
  const end = offsetBytes + lengthBytes;
  const pieces: Piece[] = [];
  for (let at = offsetBytes; at < end; ) {
    const shardIndex = Math.floor(at / shard);
    const inShard = at - shardIndex * shard;
    const takeBytes = Math.min(shard - inShard, end - at);
    const firstBlock = Math.floor(inShard / blockBytes);
    const endBlock = Math.ceil((inShard + takeBytes) / blockBytes);
    pieces.push({
      shardIndex,
      firstBlock,
      blockCount: endBlock - firstBlock,
      skipBytes: inShard - firstBlock * blockBytes,
      takeBytes,
      intoOffset: at - offsetBytes,
    });
    at += takeBytes;
  }
  return pieces;
}

/** Copies `bytes`, which lie at `offsetBytes` of the stripe, to their places in its data shards. */
export function scatter(code: Code, shards: readonly Uint8Array[], offsetBytes: number, bytes: Uint8Array): void {
  const shard = shards[0]?.byteLength ?? 0;
  for (let at = 0; at < bytes.byteLength; ) {
    const index = Math.floor((offsetBytes + at) / shard);
    const into = shards[index];
    if (into === undefined || index >= dataShards(code)) {
      throw new AppError("Internal", `stripe offset ${offsetBytes + at} lies behind the last data shard`);
    }
    const inShard = offsetBytes + at - index * shard;
    const length = Math.min(shard - inShard, bytes.byteLength - at);
    into.set(bytes.subarray(at, at + length), inShard);
    at += length;
  }
}
