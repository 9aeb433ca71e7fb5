/**
 * Reads a range that may have unreadable blocks in it. Where one read of the whole meets a medium error, the range is read block by block, and
 * what can't be read is filled with 0xFF: no record begins so, and no free place of a device looks so. Only for finding records, whose checksums
 * tell; data that anybody is given is never read this way.
 */
import { isMediumError } from "./pool-health.ts";

const blockBytes = 4096;
const filler = 0xff;

export interface ReadAround {
  /** Bytes read, filled ones included; fewer than asked for only at the end. */
  count: number;
  /** How many blocks could not be read. */
  unreadableBlocks: number;
}

/**
 * `read` gives the bytes there were. A medium that can't be read at all is not one with a few bad blocks: after `unreadableBlocksMax` of them
 * the device's error is thrown, as is at once any error that is not of the place that was read.
 */
export async function readAround(
  read: (into: Uint8Array, offset: number) => Promise<number>,
  into: Uint8Array,
  offset: number,
  unreadableBlocksMax: number,
): Promise<ReadAround> {
  try {
    return { count: await read(into, offset), unreadableBlocks: 0 };
  } catch (error) {
    if (!isMediumError(error) || unreadableBlocksMax <= 0) throw error;
  }
  let unreadableBlocks = 0;
  let count = 0;
  while (count < into.byteLength) {
    // Up to the next whole block, so that a bad block costs itself alone.
    const wanted = Math.min(blockBytes - ((offset + count) % blockBytes), into.byteLength - count);
    const part = into.subarray(count, count + wanted);
    try {
      const got = await read(part, offset + count);
      count += got;
      if (got < wanted) break;
    } catch (error) {
      if (!isMediumError(error) || ++unreadableBlocks > unreadableBlocksMax) throw error;
      part.fill(filler);
      count += wanted;
    }
  }
  return { count, unreadableBlocks };
}
