/** The chunk store as the rest of the agent sees it: one per pool. Errors are `AppError`s: ChunkAbsent, ChunkCorrupt, NameReused, NoSpace, ReadOnly, Unavailable … */
import type { ChunkInfo, ChunkKey, ChunkName, DeleteRequest, PutAnswer } from "@couchestor/common/api/chunks.ts";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";

/** Blocks of a chunk that have been verified, with their checksums to verify them again on arrival. */
export interface VerifiedBlocks {
  /** One CRC32C per block. */
  crcs: Uint32Array;
  /** The blocks; a view that the caller may keep. */
  bytes: Uint8Array;
}

export type ChunkState = "ok" | "absent" | "corrupt" | "error";

export interface ChunkStore {
  readonly poolUuid: string;
  info(): PoolInfo;
  /**
   * Stores a chunk: `image` is header (with CRC table) and data, as `encodeChunk` makes them. On return it is durable and was read back.
   * The same name with the same content is done already; with another content it is `NameReused` and nothing changes.
   */
  put(image: Uint8Array): Promise<PutAnswer>;
  /** Reads blocks `firstBlock` … +`blockCount` of any intact copy with this key. Absent is `ChunkAbsent`, never zeros. */
  get(key: ChunkKey, firstBlock: number, blockCount: number): Promise<VerifiedBlocks>;
  /** Reads the whole chunk from the medium (past the page cache) and checks everything: any intact copy of the key, or the very copy that a full name means. */
  verify(key: ChunkKey | ChunkName): Promise<{ state: ChunkState; info?: ChunkInfo }>;
  /** Deletes exactly these copies; the record of it is durable on return. */
  delete(request: DeleteRequest): Promise<{ deleted: number; absent: number }>;
  /** Pages through what is stored, in a stable order that survives concurrent puts. `verify` also checks each chunk's data. */
  list(options: { after?: string | undefined; limit: number; verify?: boolean }): Promise<{
    chunks: { info: ChunkInfo; state?: ChunkState }[];
    next?: string | undefined;
  }>;
  /** Names only, from memory, for garbage collection. */
  has(name: ChunkName): boolean;
  /** Binds a fresh pool to a cluster; another cluster's is `WrongCluster`. Durable on return. */
  adopt(clusterUuid: string): Promise<void>;
  close(): Promise<void>;
}
