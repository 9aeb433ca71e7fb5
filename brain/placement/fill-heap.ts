/** Pools by fill, emptiest or fullest first. Entries are renewed when a pool changes; outdated ones are dropped as they come up. */
export class FillHeap {
  readonly #sign: 1 | -1;
  readonly #fillOf: (pool: number) => number;
  readonly #entries: { pool: number; key: number }[] = [];

  constructor(order: "emptiest" | "fullest", pools: Iterable<number>, fillOf: (pool: number) => number) {
    this.#sign = order === "emptiest" ? 1 : -1;
    this.#fillOf = fillOf;
    for (const pool of pools) this.push(pool);
  }

  /** Adds a pool, or tells that its fill has changed. O(log n). */
  push(pool: number): void {
    const entries = this.#entries;
    entries.push({ pool, key: this.#key(pool) });
    let at = entries.length - 1;
    while (at > 0 && this.#before(at, (at - 1) >> 1)) at = this.#swap(at, (at - 1) >> 1);
  }

  /** Takes the first pool out; undefined when there is none. O(log n) on average. */
  pop(): number | undefined {
    for (;;) {
      const first = this.#entries[0];
      const last = this.#entries.pop();
      if (first === undefined || last === undefined) return undefined;
      if (this.#entries.length > 0) {
        this.#entries[0] = last;
        this.#sink();
      }
      if (first.key === this.#key(first.pool)) return first.pool;
    }
  }

  #key(pool: number): number {
    return this.#sign * this.#fillOf(pool);
  }

  #before(a: number, b: number): boolean {
    const [left, right] = [this.#entries[a], this.#entries[b]];
    if (!left || !right) return false;
    return left.key !== right.key ? left.key < right.key : left.pool < right.pool;
  }

  #swap(a: number, b: number): number {
    const [left, right] = [this.#entries[a], this.#entries[b]];
    if (left && right) {
      this.#entries[a] = right;
      this.#entries[b] = left;
    }
    return b;
  }

  #sink(): void {
    for (let at = 0; ; ) {
      let least = at;
      for (const child of [2 * at + 1, 2 * at + 2]) if (this.#before(child, least)) least = child;
      if (least === at) return;
      at = this.#swap(at, least);
    }
  }
}
