/** A medium that the suite of the chunk store runs on. */
import type { ChunkStoreOptions, PoolChunkStore } from "../pool-chunk-store.ts";

/** A medium that is new, and stays the same for one test. */
export interface MediumUnderTest {
  /** Of the next opening; the first may make the pool. */
  options(): ChunkStoreOptions;
  /** Flips a bit where it lies, past the store; absent where that can't be done. */
  flipBit?(segmentId: number, offset: number, bit: number): Promise<void>;
  dispose(): Promise<void>;
}

export type WithStore = (run: (store: PoolChunkStore, medium: MediumUnderTest) => Promise<void>) => () => Promise<void>;
