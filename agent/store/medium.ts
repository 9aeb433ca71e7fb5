/**
 * Where a pool's segments lie, as a port: a directory with a file each, a raw block device with a slot each, a zoned device with a zone each.
 * Segments are only ever appended to and removed whole. Errors are `FileSystemError`s.
 */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import type { FileHandle } from "@couchestor/common/runtime/file-system.ts";
import type { Superblock } from "./superblock.ts";

export interface Medium {
  readonly kind: PoolInfo["kind"];
  /** The newest superblock. */
  readonly superblock: Superblock;
  /** A segment is closed when it would pass this. A single record that is longer gets a segment of its own if `recordBytesMax` allows. */
  readonly segmentBytes: number;
  /** The longest record that fits into an empty segment. */
  readonly recordBytesMax: number;
  /** Where an index snapshot can be kept; absent if the medium has no place for one, and every start scans. */
  readonly snapshots?: SnapshotPlace;

  /** Replaces the older copy of the superblock. Durable on return. */
  writeSuperblock(superblock: Superblock): Promise<void>;
  /** Places that could not be read well enough to say what segment lies there, if any. They are left alone. */
  readonly unknownPlaces?: number;
  /** Ids of all segments, in rising order. */
  segments(): Promise<number[]>;
  /** Makes a segment that begins with `header`. Its name is durable on return; the header is with the first `sync`. */
  create(segmentId: number, header: Uint8Array): Promise<void>;
  /** Removes a segment whole. Durable on return. */
  remove(segmentId: number): Promise<void>;
  /** Whether a segment can't be removed and never will: the device holds it read-only. Absent: none. */
  isFixed?(segmentId: number): boolean;
  /**
   * Whether a segment that was there when the medium was opened may be written on at `endOffset`, behind its last record. Only where the medium itself
   * knows that nothing lies there: what looks like the end may be a damaged record. Absent: none may.
   */
  mayGoOn?(segmentId: number, endOffset: number): boolean;
  /** Reads at an offset; returns fewer bytes only at the end of the segment. */
  read(segmentId: number, into: Uint8Array, offset: number): Promise<number>;
  write(segmentId: number, buffers: readonly Uint8Array[], offset: number): Promise<void>;
  /** Makes durable what was written to a segment. */
  sync(segmentId: number): Promise<void>;
  /** Cuts off what lies at `offset` and beyond. Throws EOPNOTSUPP if the medium cannot. */
  truncate(segmentId: number, offset: number): Promise<void>;
  /** Where a segment's content ends at the latest. */
  sizeBytes(segmentId: number): Promise<number>;
  /** A hint that the next read is to come from the medium. */
  dropCache(segmentId: number): Promise<void>;
  /** Throws ENOENT if the segment, or the pool, is no longer where it was. */
  checkPresent(segmentId: number | undefined): Promise<void>;
  /** Bytes in all, and bytes that segments may still take. */
  space(): Promise<{ totalBytes: number; freeBytes: number }>;
  close(): Promise<void>;
}

export interface SnapshotPlace {
  /** The last complete snapshot, or undefined if there is none. */
  open(): Promise<FileHandle | undefined>;
  /** Replaces it atomically by what `write` writes. Durable on return. */
  replace(write: (file: FileHandle) => Promise<void>): Promise<void>;
}

/** A device without a file system, in whole 4 KiB blocks. Reads and writes may be of any length that is a multiple of 4096. */
export interface BlockDevice {
  readonly sizeBytes: number;
  read(into: Uint8Array, offset: number): Promise<void>;
  write(buffers: readonly Uint8Array[], offset: number): Promise<void>;
  /** Everything written so far is durable on return, through the device's own cache. */
  sync(): Promise<void>;
  /** Throws ENODEV if the device is gone; a device that can't tell has none. */
  checkPresent?(): Promise<void>;
  close(): Promise<void>;
}
