/** Writing zeros where a pool, or something else, could be found again. Offsets and lengths are multiples of 4096. */
import type { BlockDevice } from "../store/medium.ts";
import { superblockBytes } from "../store/superblock.ts";
import { isZero, lookBytes } from "./content.ts";

const headersAtOnce = 16;
const headerBytes = 4096;
/** Where the segments of a block pool begin (`agent/store/medium-block.ts`). */
export const slotsOffsetBytes = 2 ** 20;

/** The first and the last MiB, the last one first: what is known by its beginning stays known until the end is gone as well. */
export async function zeroEnds(device: BlockDevice): Promise<void> {
  const usable = Math.floor(device.sizeBytes / 4096) * 4096;
  const length = Math.min(lookBytes, usable);
  const zeros = new Uint8Array(length);
  await device.write([zeros], usable - length);
  await device.sync();
  await device.write([zeros], 0);
  await device.sync();
}

/** Both copies of a block pool's superblock, the last one first. A copy that is left still names the pool, so it can simply be done again. */
export async function zeroLabels(device: BlockDevice): Promise<void> {
  const last = Math.floor(device.sizeBytes / superblockBytes) * superblockBytes - superblockBytes;
  for (const offset of [last, 0]) {
    await device.write([new Uint8Array(superblockBytes)], offset);
    await device.sync();
  }
}

export interface HeaderPass {
  segmentBytes: number;
  /** Called for a beginning that is not zeros, before it is overwritten; throw to leave it and stop. */
  onContent(offset: number): void;
  onProgress(done: number, total: number): void;
  signal?: AbortSignal | undefined;
}

/**
 * Zeros over the beginning of each segment that isn't zeros: a pool takes such a slot for free at once, where otherwise every start would read
 * all of it to see whether it is a damaged segment of its own. Durable on return.
 */
export async function zeroHeaders(device: BlockDevice, pass: HeaderPass): Promise<void> {
  const { segmentBytes, onContent, onProgress, signal } = pass;
  const total = Math.max(0, Math.floor((device.sizeBytes - slotsOffsetBytes - superblockBytes) / segmentBytes));
  let next = 0;
  let done = 0;
  const lane = async (): Promise<void> => {
    const header = new Uint8Array(headerBytes);
    for (let slot = next++; slot < total; slot = next++) {
      signal?.throwIfAborted();
      const offset = slotsOffsetBytes + slot * segmentBytes;
      await device.read(header, offset);
      if (!isZero(header)) {
        onContent(offset);
        await device.write([new Uint8Array(headerBytes)], offset);
      }
      onProgress(++done, total);
    }
  };
  const lanes = await Promise.allSettled(Array.from({ length: headersAtOnce }, lane));
  for (const outcome of lanes) if (outcome.status === "rejected") throw outcome.reason;
  await device.sync();
}
