/** One file of the simulated file system: what a reader sees, what is on the medium, and the pages that differ. */
import type { Prng } from "../runtime/prng.ts";

export const simPageBytes = 4096;
const sectorBytes = 512;

export class SimFile {
  #live = new Uint8Array(0);
  #durable = new Uint8Array(0);
  sizeBytes = 0;
  durableSizeBytes = 0;
  /** Pages written since the last sync. */
  readonly #dirty = new Set<number>();
  /** Pages that a failed sync left in memory but will never write: a later sync succeeds without them. */
  readonly #lost = new Set<number>();

  read(into: Uint8Array, offset: number): number {
    const count = Math.max(0, Math.min(into.byteLength, this.sizeBytes - offset));
    into.set(this.#live.subarray(offset, offset + count));
    return count;
  }

  write(bytes: Uint8Array, offset: number): void {
    const end = offset + bytes.byteLength;
    this.#grow(end);
    this.#live.set(bytes, offset);
    this.sizeBytes = Math.max(this.sizeBytes, end);
    for (let page = Math.floor(offset / simPageBytes); page * simPageBytes < end; page++) {
      this.#dirty.add(page);
      this.#lost.delete(page);
    }
  }

  truncate(lengthBytes: number): void {
    if (lengthBytes > this.sizeBytes) this.#grow(lengthBytes);
    else {
      this.#live.fill(0, lengthBytes, this.sizeBytes);
      const last = Math.ceil(this.sizeBytes / simPageBytes);
      for (let page = Math.floor(lengthBytes / simPageBytes); page < last; page++) this.#dirty.add(page);
    }
    this.sizeBytes = lengthBytes;
  }

  sync(): void {
    for (const page of this.#dirty) this.#copyPage(this.#live, this.#durable, page);
    this.#dirty.clear();
    this.durableSizeBytes = this.sizeBytes;
  }

  /** The sync failed: what was dirty is marked clean and stays in memory only. */
  failSync(): void {
    for (const page of this.#dirty) this.#lost.add(page);
    this.#dirty.clear();
  }

  /** Clean pages are forgotten: those that a failed sync lost now read as they are on the medium. */
  dropCache(): void {
    for (const page of this.#lost) this.#copyPage(this.#durable, this.#live, page);
    this.#lost.clear();
  }

  /** Flips one bit, on the medium and in memory. */
  flipBit(offset: number, bit: number): void {
    for (const bytes of [this.#live, this.#durable]) {
      if (offset < bytes.byteLength) bytes[offset] = (bytes[offset] ?? 0) ^ (1 << bit);
    }
  }

  /** Power fails: unsynced pages are kept, dropped or torn at 512 bytes, each by itself; so is the length. */
  crash(prng: Prng): void {
    const style = prng.below(4); // 0: all lost, 1: all kept, 2 and 3: each page by itself
    const keepSize = style === 1 || (style > 1 && prng.below(2) === 1);
    const size = keepSize ? this.sizeBytes : this.durableSizeBytes;
    for (const page of this.#dirty) {
      const fate = style < 2 ? style : prng.below(3);
      if (fate === 1) this.#copyPage(this.#live, this.#durable, page);
      if (fate === 2) this.#tearPage(page, prng);
    }
    const settled = new Uint8Array(Math.ceil(size / simPageBytes) * simPageBytes);
    settled.set(this.#durable.subarray(0, settled.byteLength));
    settled.fill(0, size);
    this.#durable = settled;
    this.#live = settled.slice();
    this.sizeBytes = size;
    this.durableSizeBytes = size;
    this.#dirty.clear();
    this.#lost.clear();
  }

  #tearPage(page: number, prng: Prng): void {
    for (let sector = 0; sector < simPageBytes / sectorBytes; sector++) {
      if (prng.below(2) === 0) continue;
      const at = page * simPageBytes + sector * sectorBytes;
      this.#durable.set(this.#live.subarray(at, at + sectorBytes), at);
    }
  }

  #copyPage(from: Uint8Array, to: Uint8Array, page: number): void {
    to.set(from.subarray(page * simPageBytes, (page + 1) * simPageBytes), page * simPageBytes);
  }

  #grow(bytes: number): void {
    if (bytes <= this.#live.byteLength) return;
    const capacity = Math.ceil(Math.max(bytes, this.#live.byteLength * 1.5) / simPageBytes) * simPageBytes;
    const live = new Uint8Array(capacity);
    live.set(this.#live);
    const durable = new Uint8Array(capacity);
    durable.set(this.#durable);
    this.#live = live;
    this.#durable = durable;
  }
}
