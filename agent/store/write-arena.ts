/** Memory for the small records of one group, used again for the next once they are written: one buffer, so one piece to write. */
import { scratch } from "./record-verify.ts";

const arenaBytes = 2 ** 20;

export class WriteArena {
  #bytes: Uint8Array | undefined;
  #used = 0;

  /** Memory with old content, to be overwritten; good until `reset`. */
  take(bytes: number): Uint8Array {
    this.#bytes ??= scratch(arenaBytes);
    if (this.#used + bytes > arenaBytes) return scratch(bytes);
    const part = this.#bytes.subarray(this.#used, this.#used + bytes);
    this.#used += bytes;
    return part;
  }

  /** What was taken is written. */
  reset(): void {
    this.#used = 0;
  }
}

/** Joins buffers that lie one behind the other in the same memory. */
export function joinAdjacent(buffers: readonly Uint8Array[]): Uint8Array[] {
  const joined: Uint8Array[] = [];
  for (let first = 0; first < buffers.length; ) {
    const start = buffers[first] as Uint8Array;
    let end = start.byteOffset + start.byteLength;
    let next = first + 1;
    for (
      let buffer = buffers[next];
      buffer?.buffer === start.buffer && buffer.byteOffset === end;
      buffer = buffers[next]
    ) {
      end += buffer.byteLength;
      next++;
    }
    joined.push(next === first + 1 ? start : new Uint8Array(start.buffer, start.byteOffset, end - start.byteOffset));
    first = next;
  }
  return joined;
}
