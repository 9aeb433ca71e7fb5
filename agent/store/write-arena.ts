/** Memory for the small records of one group, used again for the next once they are written: one buffer, so one piece to write. */

const arenaBytes = 2 ** 20;

export class WriteArena {
  #bytes: Uint8Array | undefined;
  #used = 0;

  /** Memory with old content, to be overwritten; good until `reset`. */
  take(bytes: number): Uint8Array {
    this.#bytes ??= Buffer.allocUnsafeSlow(arenaBytes);
    if (this.#used + bytes > arenaBytes) return Buffer.allocUnsafeSlow(bytes);
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
  for (const buffer of buffers) {
    const before = joined.at(-1);
    const adjacent = before?.buffer === buffer.buffer && before.byteOffset + before.byteLength === buffer.byteOffset;
    if (before && adjacent)
      joined[joined.length - 1] = new Uint8Array(
        before.buffer,
        before.byteOffset,
        before.byteLength + buffer.byteLength,
      );
    else joined.push(buffer);
  }
  return joined;
}
