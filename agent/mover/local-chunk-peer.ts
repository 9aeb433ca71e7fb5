/** The chunks of this agent's own pools: direct calls, no copy, no second checksum. */
import type { ChunkKey, PutAnswer, VerifyAnswer } from "@couchestor/common/api/chunks.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ChunkPeer, OpenPools } from "../ports.ts";
import type { VerifiedBlocks } from "../store/ports.ts";

/** How many chunks of one request are read at a time. */
const verifyConcurrency = 4;

export class LocalChunkPeer implements ChunkPeer {
  readonly #pools: OpenPools;

  constructor(pools: OpenPools) {
    this.#pools = pools;
  }

  async put(poolUuid: string, image: Uint8Array, signal?: AbortSignal): Promise<PutAnswer> {
    signal?.throwIfAborted();
    return await this.#pools.get(poolUuid).put(image);
  }

  async get(
    poolUuid: string,
    key: ChunkKey,
    firstBlock: number,
    blockCount: number,
    signal?: AbortSignal,
  ): Promise<VerifiedBlocks> {
    signal?.throwIfAborted();
    return await this.#pools.get(poolUuid).get(key, firstBlock, blockCount);
  }

  async verify(poolUuid: string, keys: readonly ChunkKey[], signal?: AbortSignal): Promise<VerifyAnswer["results"]> {
    const store = this.#pools.get(poolUuid);
    const results: VerifyAnswer["results"] = new Array(keys.length);
    let next = 0;
    const worker = async () => {
      for (let i = next++; i < keys.length; i = next++) {
        signal?.throwIfAborted();
        results[i] = await store.verify(keys[i] as ChunkKey).catch(stateOfError);
      }
    };
    await Promise.all(Array.from({ length: Math.min(verifyConcurrency, keys.length) }, worker));
    return results;
  }
}

/** A store that throws instead of answering a state: what it threw says which. A pool that closed meanwhile concerns the whole request. */
function stateOfError(error: unknown): { state: "absent" | "corrupt" | "error" } {
  if (isAppError(error, "ChunkAbsent")) return { state: "absent" };
  if (isAppError(error, "ChunkCorrupt")) return { state: "corrupt" };
  if (isAppError(error, "Unavailable") || !(error instanceof AppError)) throw error;
  return { state: "error" };
}
