/**
 * Open addressing from a u32 hash to row numbers, four bytes a slot, in 256 parts that grow by a quarter each by itself: at a load of 64 to
 * 80 % it takes 5 to 6.3 bytes a row, and no growth moves more than a 256th of the rows at a time.
 */

const parts = 256;
const slotsMin = 16;
const loadMax = 0.8;
const growth = 1.25;

export class HashSlots {
  /** 0 is empty, else row + 1. */
  readonly #slots: Uint32Array[] = Array.from({ length: parts }, () => new Uint32Array(slotsMin));
  readonly #used = new Uint32Array(parts);
  readonly #hashOf: (row: number) => number;

  /** `hashOf` gives the hash of a row that is in here, again. */
  constructor(hashOf: (row: number) => number) {
    this.#hashOf = hashOf;
  }

  get memoryBytes(): number {
    return this.#slots.reduce((sum, slots) => sum + slots.byteLength, 0);
  }

  /** The first row with this hash (or near it) that `accept` takes, or -1. */
  find(hash: number, accept: (row: number) => boolean): number {
    const slots = this.#part(hash);
    for (let at = home(hash, slots.length); ; at = at + 1 === slots.length ? 0 : at + 1) {
      const entry = slots[at] ?? 0;
      if (entry === 0) return -1;
      if (accept(entry - 1)) return entry - 1;
    }
  }

  add(hash: number, row: number): void {
    const part = hash >>> 24;
    const used = (this.#used[part] ?? 0) + 1;
    this.#used[part] = used;
    let slots = this.#part(hash);
    if (used > slots.length * loadMax) {
      slots = this.#grown(slots);
      this.#slots[part] = slots;
    }
    insert(slots, hash, row + 1);
  }

  /** Takes out a row that is in here, and moves back those that it had displaced. */
  remove(hash: number, row: number): void {
    const slots = this.#part(hash);
    const size = slots.length;
    let hole = home(hash, size);
    while (slots[hole] !== row + 1) {
      if (slots[hole] === 0) throw new Error(`row ${row} is not in the hash`);
      hole = hole + 1 === size ? 0 : hole + 1;
    }
    for (let at = hole + 1 === size ? 0 : hole + 1; slots[at] !== 0; at = at + 1 === size ? 0 : at + 1) {
      const entry = slots[at] ?? 0;
      const wanted = home(this.#hashOf(entry - 1), size);
      // It may move into the hole unless its home lies behind the hole, up to where it is now (around the end of the table).
      const stays = hole < at ? wanted > hole && wanted <= at : wanted > hole || wanted <= at;
      if (stays) continue;
      slots[hole] = entry;
      hole = at;
    }
    slots[hole] = 0;
    const part = hash >>> 24;
    this.#used[part] = (this.#used[part] ?? 1) - 1;
  }

  #part(hash: number): Uint32Array {
    const slots = this.#slots[hash >>> 24];
    if (!slots) throw new Error("hash out of range");
    return slots;
  }

  #grown(slots: Uint32Array): Uint32Array {
    const larger = new Uint32Array(Math.ceil(slots.length * growth));
    for (const entry of slots) if (entry !== 0) insert(larger, this.#hashOf(entry - 1), entry);
    return larger;
  }
}

/** Where a hash belongs in a table of `size` slots; the top eight bits chose the part. */
function home(hash: number, size: number): number {
  return Math.floor(((hash & 0xff_ffff) / 0x100_0000) * size);
}

function insert(slots: Uint32Array, hash: number, entry: number): void {
  let at = home(hash, slots.length);
  while (slots[at] !== 0) at = at + 1 === slots.length ? 0 : at + 1;
  slots[at] = entry;
}
