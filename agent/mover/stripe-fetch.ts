/**
 * Blocks of one stripe's shards, whatever is left of them: what can be read directly is, the rest is decoded from exactly the same blocks of
 * the fewest other shards. Nothing unverified is used, and nothing is read twice.
 */
import { blockBytes, formatCode } from "@couchestor/common/code/code.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { Coding, Peers } from "../ports.ts";
import { chunkKeyOf, type NodeOfPool, type ShardPlace, type StripeView, shardPlaces } from "./shard-places.ts";

export interface ShardRange {
  shardIndex: number;
  firstBlock: number;
  blockCount: number;
}

/** Why a shard can't be had. */
export interface ShardLoss {
  shardIndex: number;
  poolUuid: string;
  poolName: string;
  nodeName: string;
  why: "absent" | "corrupt" | "unreachable" | "error" | "not placed";
  detail: string;
}

interface Held {
  firstBlock: number;
  blockCount: number;
  bytes: Uint8Array;
}

export interface StripeFetchOptions extends Coding {
  peers: Peers;
  nodeOfPool?: NodeOfPool | undefined;
  signal?: AbortSignal | undefined;
  /** Shards that must not be read, such as those being rebuilt. */
  exclude?: ReadonlySet<number>;
  /** Called when a chunk is absent, before its shard counts as lost [L5]; may throw to start over with another map. */
  onAbsent?: (() => Promise<void>) | undefined;
}

export class StripeFetch {
  readonly #view: StripeView;
  readonly #options: StripeFetchOptions;
  readonly #places: (ShardPlace | undefined)[];
  readonly #held = new Map<number, Held[]>();
  /** Shards that did not give what was asked of them. */
  readonly losses = new Map<number, ShardLoss>();
  /** Figures of what was read from chunks. */
  readonly counts = { chunksRead: 0, bytesRead: 0 };

  constructor(view: StripeView, options: StripeFetchOptions) {
    this.#view = view;
    this.#options = options;
    this.#places = shardPlaces(view, options.nodeOfPool);
    this.#places.forEach((place, shardIndex) => {
      if (place === undefined) this.#lose(shardIndex, "not placed", "the map names no place for it");
    });
  }

  /** The blocks of each range. Throws `Unrecoverable` naming every shard that is missing and why. */
  async blocks(ranges: readonly ShardRange[]): Promise<Uint8Array[]> {
    const direct = ranges.filter((range) => this.#mayRead(range.shardIndex) && this.#standing(range.shardIndex) < 2);
    await Promise.all(direct.map((range) => this.#read(range)));
    const missing = Map.groupBy(
      ranges.filter((range) => this.#heldPart(range) === undefined),
      (range) => `${range.firstBlock}+${range.blockCount}`,
    );
    for (const group of missing.values()) await this.#recover(group);
    return ranges.map((range) => this.#heldPart(range) as Uint8Array);
  }

  /** The shard's blocks if they have been read or decoded already. */
  held(range: ShardRange): Uint8Array | undefined {
    return this.#heldPart(range);
  }

  /** Decodes ranges that have the same blocks, reading what that takes; starts over without the shards that fail meanwhile. */
  async #recover(group: readonly ShardRange[]): Promise<void> {
    const [first] = group as [ShardRange];
    const at = (shardIndex: number): ShardRange => ({ ...first, shardIndex });
    const wanted = [...new Set(group.map((range) => range.shardIndex))];
    for (;;) {
      this.#options.signal?.throwIfAborted();
      const sources = this.#planReads(first, wanted);
      if (sources === undefined) throw this.#unrecoverable();
      const complete = await Promise.all(sources.map((shardIndex) => this.#read(at(shardIndex))));
      if (!complete.every(Boolean)) continue;
      const lacking = wanted.filter((shardIndex) => this.#heldPart(at(shardIndex)) === undefined);
      if (lacking.length === 0) return;
      const present = new Map(sources.map((shardIndex) => [shardIndex, this.#heldPart(at(shardIndex)) as Uint8Array]));
      const into = lacking.map(() => new Uint8Array(first.blockCount * blockBytes));
      this.#options.codec.reconstruct(this.#view.run.code, present, lacking, into);
      for (const [i, shardIndex] of lacking.entries()) this.#hold(at(shardIndex), into[i] as Uint8Array);
      return;
    }
  }

  /** What is here already costs nothing; then shards of this node; then of nodes that answer; last of those that probably don't. */
  #planReads(range: ShardRange, wanted: readonly number[]): number[] | undefined {
    const all = this.#places
      .keys()
      .filter((i) => this.#heldPart({ ...range, shardIndex: i }) || this.#mayRead(i))
      .toArray();
    const held = all.filter((i) => this.#heldPart({ ...range, shardIndex: i }) !== undefined);
    for (const standing of [-1, 0, 1, 2, 3]) {
      const available = new Set([...held, ...all.filter((i) => this.#mayRead(i) && this.#standing(i) <= standing)]);
      const plan = this.#options.plan(this.#view.run.code, available, wanted);
      if (plan !== undefined) return plan;
    }
    return undefined;
  }

  #mayRead(shardIndex: number): boolean {
    return !this.losses.has(shardIndex) && this.#options.exclude?.has(shardIndex) !== true;
  }

  /** 0: this node's; 1: of a node that answers; 2: of one that failed a moment ago; 3: of one that is offline. */
  #standing(shardIndex: number): number {
    const place = this.#places[shardIndex];
    if (place === undefined) return 3;
    const standing = this.#options.peers.standing(place.nodeName, this.#view.nodes);
    return { local: 0, online: 1, doubtful: 2, offline: 3 }[standing];
  }

  /** Reads a range of one shard; false, and the loss noted, if that fails. */
  async #read(range: ShardRange): Promise<boolean> {
    if (this.#heldPart(range) !== undefined) return true;
    const { signal, peers } = this.#options;
    const { shardIndex, firstBlock, blockCount } = range;
    const place = this.#places[shardIndex];
    if (place === undefined) return false;
    try {
      const peer = peers.peer(place.nodeName, this.#view.nodes);
      const key = chunkKeyOf(this.#view, shardIndex);
      const got = await peer.get(place.poolUuid, key, firstBlock, blockCount, signal);
      if (got.bytes.byteLength !== blockCount * blockBytes) throw new AppError("ChunkCorrupt", "too few blocks came");
      this.counts.chunksRead++;
      this.counts.bytesRead += got.bytes.byteLength;
      this.#hold(range, got.bytes);
      return true;
    } catch (error) {
      signal?.throwIfAborted();
      if (isAppError(error, "ChunkAbsent")) await this.#options.onAbsent?.();
      const { why, detail } = lossOf(error);
      this.#lose(shardIndex, why, detail);
      return false;
    }
  }

  #heldPart(range: ShardRange): Uint8Array | undefined {
    const { shardIndex, firstBlock, blockCount } = range;
    const held = this.#held
      .get(shardIndex)
      ?.find((h) => h.firstBlock <= firstBlock && h.firstBlock + h.blockCount >= firstBlock + blockCount);
    if (held === undefined) return undefined;
    const start = (firstBlock - held.firstBlock) * blockBytes;
    return held.bytes.subarray(start, start + blockCount * blockBytes);
  }

  #hold(range: ShardRange, bytes: Uint8Array): void {
    const { shardIndex, firstBlock, blockCount } = range;
    const held = this.#held.get(shardIndex) ?? [];
    held.push({ firstBlock, blockCount, bytes });
    this.#held.set(shardIndex, held);
  }

  #lose(shardIndex: number, why: ShardLoss["why"], detail: string): void {
    const place = this.#places[shardIndex];
    const { poolUuid = "", poolName = "unknown", nodeName = "unknown" } = place ?? {};
    this.losses.set(shardIndex, { shardIndex, poolUuid, poolName, nodeName, why, detail });
  }

  #unrecoverable(): AppError {
    const { volume, run, stripe } = this.#view;
    const missing = [...this.losses.values()].sort((a, b) => a.shardIndex - b.shardIndex);
    const named = missing.map((loss) => `${loss.shardIndex} (pool ${loss.poolName} on ${loss.nodeName}: ${loss.why})`);
    return new AppError(
      "Unrecoverable",
      `volume ${volume.name}: stripe ${stripe} (${formatCode(run.code)}) can't be reconstructed: ${missing.length} shards are missing: ${named.join(", ")}. It reads again when enough of these pools are back`,
      {
        data: {
          volume: volume.name,
          volumeUuid: volume.volumeUuid,
          code: formatCode(run.code),
          stripes: [stripe],
          run: { firstStripe: run.firstStripe, stripeCount: run.stripeCount },
          missing,
        },
      },
    );
  }
}

function lossOf(error: unknown): Pick<ShardLoss, "why" | "detail"> {
  const app = toAppError(error);
  const detail = app.message.slice(0, 300);
  if (app.code === "ChunkAbsent" || app.code === "NotFound") return { why: "absent", detail };
  if (app.code === "ChunkCorrupt") return { why: "corrupt", detail };
  if (app.code === "Unavailable" || app.code === "Timeout") return { why: "unreachable", detail };
  return { why: "error", detail };
}
