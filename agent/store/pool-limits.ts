/** The limits of a pool, each with its unit, and their defaults. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { segmentBytesMax } from "./chunk-index.ts";

export interface PoolLimits {
  /** Length of a segment of a pool made anew; a pool keeps what it was made with. */
  segmentBytes: number;
  /** Bytes of writes that may wait; further ones wait outside until there is room. */
  queuedBytesMax: number;
  /** Bytes and records that share one sync. */
  groupBytesMax: number;
  groupRecordsMax: number;
  /** Space that PUT leaves free, so that deletions and compaction can go on. Undefined: two segments, at most an eighth of the medium. */
  reserveBytes: number | undefined;
  /** The pool takes no more than this, whatever the medium has. Undefined: all of it. */
  capacityBytesMax: number | undefined;
  /** A segment is compacted when this part of it is garbage. */
  compactGarbageRatio: number;
  /** How fast compaction may read and write. */
  compactBytesPerSecond: number;
  /** How often the pool looks after itself: is the medium there, is there garbage, is a snapshot due. 0: never by itself. */
  maintenanceEveryMs: number;
  /** A snapshot is due after so many records, and a quarter of what the pool holds. */
  snapshotEveryRecords: number;
}

const mebibyte = 2 ** 20;

export const defaultPoolLimits: PoolLimits = {
  segmentBytes: 64 * mebibyte,
  queuedBytesMax: 64 * mebibyte,
  groupBytesMax: 16 * mebibyte,
  groupRecordsMax: 512,
  reserveBytes: undefined,
  capacityBytesMax: undefined,
  compactGarbageRatio: 0.5,
  compactBytesPerSecond: 64 * mebibyte,
  maintenanceEveryMs: 5000,
  snapshotEveryRecords: 262_144,
};

const ranges: Record<keyof PoolLimits, [number, number]> = {
  segmentBytes: [64 * 1024, segmentBytesMax],
  queuedBytesMax: [mebibyte, 2 ** 32],
  groupBytesMax: [4096, 2 ** 30],
  groupRecordsMax: [1, 65_536],
  reserveBytes: [0, 2 ** 50],
  capacityBytesMax: [mebibyte, 2 ** 53],
  compactGarbageRatio: [0.05, 1],
  compactBytesPerSecond: [4096, 2 ** 40],
  maintenanceEveryMs: [0, 3_600_000],
  snapshotEveryRecords: [1, 2 ** 32],
};

/** The defaults with what `given` changes. Throws `InvalidArgument` naming the limit that is out of range. */
export function poolLimits(given: Partial<PoolLimits>): PoolLimits {
  const limits = { ...defaultPoolLimits, ...given };
  for (const [name, [min, max]] of Object.entries(ranges)) {
    const value = limits[name as keyof PoolLimits];
    if (value === undefined || (value >= min && value <= max)) continue;
    throw new AppError("InvalidArgument", `pool limit ${name}: got ${value}, allowed: ${min} … ${max}`, {
      data: { field: name, got: value, allowed: `${min} … ${max}` },
    });
  }
  if (limits.segmentBytes % 4096 !== 0)
    throw new AppError(
      "InvalidArgument",
      `pool limit segmentBytes: got ${limits.segmentBytes}, must be a multiple of 4096`,
    );
  return limits;
}
