/**
 * Proof that chunks are not needed. That the committed version does not name them is not enough: a database put back to an older state names copies that
 * were deleted since, and the unnamed ones may be the last. So another copy of a shard goes only when the named one was read and is intact, and a chunk of
 * another encoding only when the committed one can be decoded from shards that were read. A run never written proves nothing.
 */
import type { ChunkInfo, ChunkName } from "@couchestor/common/api/chunks.ts";
import { dataShards, shardBytes, shardCount } from "@couchestor/common/code/code.ts";
import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { isDecodable } from "../placement/spare.ts";
import { committedCopy, type RunShape, shapeOf } from "../volumes/run-shape.ts";
import type { Services } from "../volumes/services.ts";

/** Read by one request; each chunk is read whole. */
const requestBytes = 64 * 1024 * 1024;
const requestChunksMax = 256;

/** Those of `suspects`, all of this run and none named by it, that are not needed for certain. An agent that does not answer proves nothing. */
export async function provenGarbage(
  services: Services,
  volume: EcVolume,
  run: EcStripe,
  suspects: readonly ChunkInfo[],
  signal: AbortSignal,
): Promise<ChunkInfo[]> {
  if (run.spec.generation === 0) return [];
  const { code } = run.spec;
  const proof = new Proof(services, volume, run, signal);
  const copies = suspects.filter((info) => isOfVersion(run, info));
  const others = suspects.filter((info) => !isOfVersion(run, info));
  await proof.read(copies.map(({ stripe, shardIndex }) => ({ stripe, shardIndex })));
  const stripes = [...new Set(others.map((info) => info.stripe))];
  const shards = Array.from({ length: shardCount(code) }, (_, shardIndex) => shardIndex);
  const readable = (stripe: number) => isDecodable(code, new Set(shards.filter((s) => !proof.intact(stripe, s))));
  for (const some of [shards.slice(0, dataShards(code)), shards]) {
    const open = stripes.filter((stripe) => !readable(stripe));
    await proof.read(open.flatMap((stripe) => some.map((shardIndex) => ({ stripe, shardIndex }))));
  }
  const decodable = new Set(stripes.filter(readable));
  return suspects.filter((info) =>
    isOfVersion(run, info) ? proof.intact(info.stripe, info.shardIndex) : decodable.has(info.stripe),
  );
}

/** Whether the chunk is a shard of the committed encoding. */
export function isOfVersion({ spec }: EcStripe, info: ChunkInfo): boolean {
  return (
    spec.generation === info.generation && spec.encodeEpoch === info.encodeEpoch && spec.encodeAct === info.encodeAct
  );
}

class Proof {
  readonly #services: Services;
  readonly #run: EcStripe;
  readonly #shape: RunShape;
  readonly #chunksPerRequest: number;
  readonly #signal: AbortSignal;
  readonly #read = new Map<string, boolean>();

  constructor(services: Services, volume: EcVolume, run: EcStripe, signal: AbortSignal) {
    this.#services = services;
    this.#run = run;
    this.#shape = shapeOf(run.spec);
    this.#signal = signal;
    const fit = Math.floor(requestBytes / shardBytes(run.spec.code, volume.spec.stripeSizeBytes));
    this.#chunksPerRequest = Math.min(requestChunksMax, Math.max(1, fit));
  }

  intact(stripe: number, shardIndex: number): boolean {
    return this.#read.get(`${stripe}/${shardIndex}`) === true;
  }

  /** Reads the named copies of these shards, unless that was done. */
  async read(shards: readonly { stripe: number; shardIndex: number }[]): Promise<void> {
    const perPool = new Map<string, { stripe: number; shardIndex: number }[]>();
    for (const at of shards) {
      if (this.#read.has(`${at.stripe}/${at.shardIndex}`)) continue;
      this.#read.set(`${at.stripe}/${at.shardIndex}`, false);
      const pool = committedCopy(this.#shape, at.stripe, at.shardIndex)?.poolUuid;
      if (pool === undefined) continue;
      const ofPool = perPool.get(pool) ?? [];
      perPool.set(pool, ofPool);
      ofPool.push(at);
    }
    for (const [poolUuid, wanted] of perPool) {
      for (let next = 0; next < wanted.length; next += this.#chunksPerRequest) {
        this.#signal.throwIfAborted();
        if (!(await this.#readSome(poolUuid, wanted.slice(next, next + this.#chunksPerRequest)))) break;
      }
    }
  }

  async #readSome(poolUuid: string, some: readonly { stripe: number; shardIndex: number }[]): Promise<boolean> {
    const { inventory, context } = this.#services;
    const url = inventory.host(poolUuid)?.node.heartbeat?.clusterUrl;
    if (url === undefined || this.#services.standings.standing(poolUuid) !== "ok") return false;
    const { volumeUuid, generation, encodeEpoch, encodeAct } = this.#run.spec;
    const names: ChunkName[] = some.flatMap((at) => {
      const copy = committedCopy(this.#shape, at.stripe, at.shardIndex);
      if (!copy) return [];
      const { putEpoch, putAct } = copy;
      return [{ volumeUuid, ...at, generation, encodeEpoch, encodeAct, putEpoch, putAct }];
    });
    try {
      const { results } = await context.agents.verifyChunks(url, poolUuid, names);
      for (const [i, { stripe, shardIndex, putEpoch, putAct }] of names.entries()) {
        const { state, info } = results[i] ?? {};
        const same = info?.putEpoch === putEpoch && info.putAct === putAct && info.stripe === stripe;
        this.#read.set(`${stripe}/${shardIndex}`, state === "ok" && same);
      }
      return true;
    } catch (error) {
      context.log.warn({ poolUuid, error: String(error) }, "chunks not read; what depends on them is kept");
      return false;
    }
  }
}
