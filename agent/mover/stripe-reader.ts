/** Reads ranges of a volume: maps, shards, decoding where shards are missing, and a few stripes ahead with bounded memory. */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { MoverContext } from "../ports.ts";
import type { ByteBudget } from "./byte-budget.ts";
import type { MapCache } from "./map-cache.ts";
import type { PoolFinder } from "./pool-finder.ts";
import { type StripeView, versionOf } from "./shard-places.ts";
import { StripeFetch } from "./stripe-fetch.ts";
import { piecesOfRange, type StripeRange, stripeBytesOf, stripesOfRange } from "./stripe-layout.ts";

export interface StripeReaderLimits {
  /** Stripes read ahead of the one being sent … */
  aheadStripesMax: number;
  /** … and their bytes, together. At least one stripe is always read. */
  aheadBytesMax: number;
  /** A map younger than this is believed when a chunk it names is absent. */
  mapBelievedMs: number;
  /** How often a stripe is begun anew because its map changed meanwhile. */
  restartsMax: number;
}

export const stripeReaderLimits: StripeReaderLimits = {
  aheadStripesMax: 6,
  aheadBytesMax: 16 * 2 ** 20,
  mapBelievedMs: 250,
  restartsMax: 4,
};

export interface ReadCounts {
  chunksRead: number;
  bytesRead: number;
  degradedStripes: number;
}

/** Thrown within to begin a stripe anew with the map as it is now. */
class MapChanged extends Error {}

export class StripeReader {
  readonly #context: MoverContext;
  readonly #maps: MapCache;
  readonly #budget: ByteBudget;
  readonly #limits: StripeReaderLimits;
  readonly #finder: Pick<PoolFinder, "nodeOf" | "learn">;
  /** Totals since the start, for metrics. */
  readonly counts: ReadCounts = { chunksRead: 0, bytesRead: 0, degradedStripes: 0 };

  constructor(
    context: MoverContext,
    parts: { maps: MapCache; budget: ByteBudget; finder: Pick<PoolFinder, "nodeOf" | "learn"> },
    limits: StripeReaderLimits = stripeReaderLimits,
  ) {
    this.#context = context;
    this.#maps = parts.maps;
    this.#budget = parts.budget;
    this.#finder = parts.finder;
    this.#limits = limits;
  }

  /** The bytes of a range of a volume, in order. Throws `InvalidArgument` for a range outside, `Unrecoverable` when too many shards are gone. */
  async *read(volumeUuid: string, offset: number, length: number, signal?: AbortSignal): AsyncGenerator<Uint8Array> {
    const volume = await this.#maps.volume(volumeUuid);
    const stop = new AbortController();
    const both = signal === undefined ? stop.signal : AbortSignal.any([signal, stop.signal]);
    const { aheadStripesMax, aheadBytesMax } = this.#limits;
    const window = Math.max(1, Math.min(aheadStripesMax, Math.floor(aheadBytesMax / volume.stripeSizeBytes)));
    const ahead: Promise<{ bytes: Uint8Array; release: () => void }>[] = [];
    const ranges = stripesOfRange(volume, offset, length);
    try {
      for (;;) {
        while (ahead.length < window) {
          const next = ranges.next();
          if (next.done === true) break;
          const reading = this.#readHeld(volumeUuid, next.value, both);
          // Whoever waits for an earlier stripe must not make a later one's failure an unhandled one.
          reading.catch(() => undefined);
          ahead.push(reading);
        }
        const first = ahead.shift();
        if (first === undefined) return;
        const { bytes, release } = await first;
        // What is being sent is at most one stripe a reader; a slow one must not keep the others waiting.
        release();
        yield bytes;
      }
    } finally {
      stop.abort();
      for (const reading of ahead) void reading.then(({ release }) => release()).catch(() => undefined);
    }
  }

  async #readHeld(volumeUuid: string, range: StripeRange, signal: AbortSignal) {
    const release = await this.#budget.acquire(2 * range.lengthBytes, "foreground", signal);
    try {
      return { bytes: await this.readStripe(volumeUuid, range, signal), release };
    } catch (error) {
      release();
      throw error;
    }
  }

  /** A range of one stripe, from a map that is looked at again before anything counts as lost. */
  async readStripe(volumeUuid: string, range: StripeRange, signal?: AbortSignal): Promise<Uint8Array> {
    let view = await this.#maps.stripe(volumeUuid, range.stripe);
    for (let restart = 0; ; restart++) {
      try {
        return await this.#readView(view, range, signal, restart < this.#limits.restartsMax);
      } catch (error) {
        const again = restart < this.#limits.restartsMax;
        if (!again || !(error instanceof MapChanged || isAppError(error, "Unrecoverable"))) throw error;
        const fresh = await this.#maps.stripe(volumeUuid, range.stripe, {
          maxAgeMs: error instanceof MapChanged ? this.#limits.mapBelievedMs : 0,
        });
        if (!(error instanceof MapChanged) && !changed(view, fresh)) throw error;
        view = fresh;
      }
    }
  }

  async #readView(
    view: StripeView,
    range: StripeRange,
    signal: AbortSignal | undefined,
    mayRestart: boolean,
  ): Promise<Uint8Array> {
    const { run, volume, stripe } = view;
    if (run.generation === 0) return new Uint8Array(range.lengthBytes);
    await this.#finder.learn(run, view.nodes);
    const fetch = new StripeFetch(view, {
      ...this.#context,
      nodeOfPool: this.#finder.nodeOf,
      signal,
      onAbsent: mayRestart ? () => this.#checkMap(view) : undefined,
    });
    const stripeBytes = stripeBytesOf(volume, stripe);
    const pieces = piecesOfRange(run.code, stripeBytes, range.offsetBytes, range.lengthBytes);
    try {
      const blocks = await fetch.blocks(pieces);
      const [only] = pieces;
      if (pieces.length === 1 && only !== undefined) {
        return (blocks[0] as Uint8Array).subarray(only.skipBytes, only.skipBytes + only.takeBytes);
      }
      const out = new Uint8Array(range.lengthBytes);
      pieces.forEach((piece, i) => {
        out.set(
          (blocks[i] as Uint8Array).subarray(piece.skipBytes, piece.skipBytes + piece.takeBytes),
          piece.intoOffset,
        );
      });
      return out;
    } finally {
      this.counts.chunksRead += fetch.counts.chunksRead;
      this.counts.bytesRead += fetch.counts.bytesRead;
      if (fetch.losses.size > 0) this.counts.degradedStripes++;
    }
  }

  /** [L5]: an absent chunk is a reason to look at the map again. */
  async #checkMap(view: StripeView): Promise<void> {
    const { volume, stripe } = view;
    const fresh = await this.#maps.stripe(volume.volumeUuid, stripe, { maxAgeMs: this.#limits.mapBelievedMs });
    if (changed(view, fresh)) throw new MapChanged();
  }
}

function changed(before: StripeView, after: StripeView): boolean {
  const online = (view: StripeView) => view.nodes.map((node) => `${node.nodeName} ${node.url} ${node.online}`).join();
  return versionOf(before) !== versionOf(after) || online(before) !== online(after);
}
