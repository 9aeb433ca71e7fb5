/** Stripe maps, kept for a moment. While the brain is down the last known map is used: chunks are named by their acts, so an old map gives right data or none. */
import type { NodeAddress, RunMap, VolumeDescriptor } from "@couchestor/common/api/maps.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { SingleFlight } from "@couchestor/common/resilience/single-flight.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { BrainPort, Log } from "../ports.ts";
import type { StripeView } from "./shard-places.ts";

export interface MapCacheLimits {
  /** A map older than this is asked for again. */
  freshMs: number;
  /** Runs kept in all; those used longest ago go first. */
  runsMax: number;
  /** Stripes asked for at a time. */
  stripesPerQuery: number;
}

export const mapCacheLimits: MapCacheLimits = { freshMs: 2_000, runsMax: 4096, stripesPerQuery: 256 };

interface Entry {
  run: RunMap;
  volume: VolumeDescriptor;
  nodes: readonly NodeAddress[];
  fetchedMs: number;
}

export interface FreshnessOptions {
  /** Not older than this, in milliseconds; default: the cache's. 0: the brain is asked anew. */
  maxAgeMs?: number;
}

export class MapCache {
  readonly #brain: Pick<BrainPort, "map">;
  readonly #clock: Clock;
  readonly #log: Log;
  readonly #limits: MapCacheLimits;
  /** By volume, then by first stripe. Insertion order is order of use. */
  readonly #runs = new Map<string, Entry>();
  readonly #flights = new SingleFlight<string, void>();

  constructor(
    parts: { brain: Pick<BrainPort, "map">; clock: Clock; log: Log },
    limits: MapCacheLimits = mapCacheLimits,
  ) {
    this.#brain = parts.brain;
    this.#clock = parts.clock;
    this.#log = parts.log;
    this.#limits = limits;
  }

  /** The volume as the last map of it says. */
  async volume(volumeUuid: string): Promise<VolumeDescriptor> {
    return (await this.stripe(volumeUuid, 0)).volume;
  }

  /** What is needed to read a stripe. Throws the brain's error if no map of it was ever had, or `NotFound` if the volume is gone. */
  async stripe(volumeUuid: string, stripe: number, options: FreshnessOptions = {}): Promise<StripeView> {
    const { maxAgeMs = this.#limits.freshMs } = options;
    const known = this.#find(volumeUuid, stripe);
    if (known !== undefined && maxAgeMs > 0 && this.#clock.monotonicMs() - known.fetchedMs <= maxAgeMs) {
      return this.#use(volumeUuid, known, stripe);
    }
    try {
      await this.#fetch(volumeUuid, stripe);
    } catch (error) {
      if (isAppError(error, "NotFound")) this.forget(volumeUuid);
      const lastKnown = this.#find(volumeUuid, stripe);
      const brainAway = isAppError(error) && error.retryable;
      if (lastKnown === undefined || !brainAway) throw error;
      this.#log.debug(
        { volumeUuid, stripe, error: String(error) },
        "the brain gave no map; the last known one is used",
      );
      return this.#use(volumeUuid, lastKnown, stripe);
    }
    const found = this.#find(volumeUuid, stripe);
    if (found !== undefined) return this.#use(volumeUuid, found, stripe);
    throw new AppError("Unavailable", `volume ${volumeUuid}: the brain's map does not name stripe ${stripe}`, {
      data: { volumeUuid, stripe },
    });
  }

  forget(volumeUuid: string): void {
    for (const key of this.#runs.keys()) if (key.startsWith(`${volumeUuid}/`)) this.#runs.delete(key);
  }

  get size(): number {
    return this.#runs.size;
  }

  /** Callers for nearby stripes share one question. One that began before the caller came may be older than the caller wants, by less than a round trip. */
  #fetch(volumeUuid: string, stripe: number): Promise<void> {
    const { stripesPerQuery } = this.#limits;
    const firstStripe = Math.floor(stripe / stripesPerQuery) * stripesPerQuery;
    return this.#flights.run(`${volumeUuid}/${firstStripe}`, async () => {
      const fetchedMs = this.#clock.monotonicMs();
      const map = await this.#brain.map(volumeUuid, firstStripe, stripesPerQuery);
      if (map.volume.volumeUuid !== volumeUuid) {
        throw new AppError(
          "Internal",
          `the brain answered with the map of volume ${map.volume.volumeUuid}, not of ${volumeUuid}`,
        );
      }
      for (const run of map.runs) this.#put(volumeUuid, { run, volume: map.volume, nodes: map.nodes, fetchedMs });
    });
  }

  #put(volumeUuid: string, entry: Entry): void {
    const first = entry.run.firstStripe;
    const end = first + entry.run.stripeCount;
    for (
      let known = this.#findOverlap(volumeUuid, first, end);
      known !== undefined;
      known = this.#findOverlap(volumeUuid, first, end)
    ) {
      this.#runs.delete(keyOf(volumeUuid, known));
    }
    this.#runs.set(keyOf(volumeUuid, entry), entry);
    while (this.#runs.size > this.#limits.runsMax) this.#runs.delete(this.#runs.keys().next().value as string);
  }

  #use(volumeUuid: string, entry: Entry, stripe: number): StripeView {
    const key = keyOf(volumeUuid, entry);
    this.#runs.delete(key);
    this.#runs.set(key, entry);
    return { volume: entry.volume, run: entry.run, nodes: entry.nodes, stripe };
  }

  #find(volumeUuid: string, stripe: number): Entry | undefined {
    return this.#findOverlap(volumeUuid, stripe, stripe + 1);
  }

  /** Runs begin at a multiple of their length but after a recovery may be split: look from the likely start on. */
  #findOverlap(volumeUuid: string, first: number, end: number): Entry | undefined {
    const likely = this.#runs.get(`${volumeUuid}/${first}`);
    if (likely !== undefined) return likely;
    for (const [key, entry] of this.#runs) {
      const { firstStripe, stripeCount } = entry.run;
      if (firstStripe < end && firstStripe + stripeCount > first && key.startsWith(volumeUuid)) return entry;
    }
    return undefined;
  }
}

function keyOf(volumeUuid: string, entry: Entry): string {
  return `${volumeUuid}/${entry.run.firstStripe}`;
}
