/** An open pool as its own daemon sees it: the port, and what is told beyond it. */
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { FileSystem } from "@couchestor/common/runtime/file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { CompactionResult } from "./compaction.ts";
import type { BlockDevice } from "./medium.ts";
import type { PoolLog } from "./pool.ts";
import type { PoolLimits } from "./pool-limits.ts";
import type { ChunkStore } from "./ports.ts";
import type { DamagedRange } from "./record-scanner.ts";
import type { ZonedDevice } from "./zoned-device.ts";

export type MediumSpec =
  | { kind: "directory"; path: string }
  /** `path` names the device and is what the lock is taken on; `open` opens it once the lock is held. `format` destroys what is on it. */
  | { kind: "block"; path: string; open: () => Promise<BlockDevice>; format?: boolean }
  | { kind: "zoned"; path: string; open: () => Promise<ZonedDevice>; format?: boolean };

export interface ChunkStoreOptions {
  medium: MediumSpec;
  poolName: string;
  nodeName: string;
  labels: Record<string, string>;
  fileSystem: FileSystem;
  clock: Clock;
  prng: Prng;
  checksum: Checksum;
  limits?: Partial<PoolLimits>;
  log?: PoolLog;
}

/** What an open pool tells beyond the port, for metrics and tests. */
export interface ChunkStoreStats {
  openedFrom: "snapshot" | "scan";
  scannedSegments: number;
  segments: number;
  /** Memory of the index, in bytes. */
  indexBytes: number;
  queuedBytes: number;
  damage: readonly DamagedRange[];
}

export interface PoolChunkStore extends ChunkStore {
  stats(): ChunkStoreStats;
  /** Ids of the segments, in rising order. */
  segmentIds(): number[];
  /** Compacts now: the segments given, or those with enough garbage. */
  compact(segmentIds?: readonly number[]): Promise<CompactionResult>;
  /** Writes an index snapshot now, if the medium has a place for one. */
  snapshot(): Promise<void>;
}
