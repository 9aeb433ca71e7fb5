/**
 * One run for many callers: while a key's work is under way, everybody who asks for that key waits for the same result.
 */

export class SingleFlight<K, V> {
  readonly #flights = new Map<K, Promise<V>>();

  /** Starts `work` for `key`, or joins the one under way. A failure reaches all who wait, and the next call starts anew. */
  run(key: K, work: () => Promise<V>): Promise<V> {
    const underWay = this.#flights.get(key);
    if (underWay !== undefined) return underWay;
    const flight = (async () => work())().finally(() => this.#flights.delete(key));
    this.#flights.set(key, flight);
    return flight;
  }

  /** How many keys are being worked on. */
  get inFlight(): number {
    return this.#flights.size;
  }
}
