/**
 * The index and the account of each segment, changed together. The same two steps serve the commit of new records, recovery and compaction,
 * so that a restart arrives where the running process was.
 */
import type { ChunkName } from "@couchestor/common/api/chunks.ts";
import { type ChunkIdentity, chunkRecordBytes } from "./chunk-identity.ts";
import { ChunkIndex, type ChunkPlace } from "./chunk-index.ts";
import type { BoundDeleteEntry } from "./delete-format.ts";

export interface SegmentAccount {
  /** Where the content ends. */
  sizeBytes: number;
  /** Records of indexed chunks. */
  liveBytes: number;
  liveCount: number;
  /** Delete records, and the greatest segment that one of them speaks of. */
  deleteBytes: number;
  deadSegmentMax: number;
}

export interface Place {
  segmentId: number;
  offset: number;
}

/** Whether `a` lies before `b` in the log. */
export function isBefore(a: Place, b: Place): boolean {
  return a.segmentId < b.segmentId || (a.segmentId === b.segmentId && a.offset < b.offset);
}

export class PoolMap {
  readonly index = new ChunkIndex();
  /** By id, in rising order: ids only ever grow. */
  readonly segments = new Map<number, SegmentAccount>();
  liveBytes = 0;
  /** Counts records applied. */
  changes = 0;

  addSegment(segmentId: number, sizeBytes: number): SegmentAccount {
    const account = { sizeBytes, liveBytes: 0, liveCount: 0, deleteBytes: 0, deadSegmentMax: 0 };
    this.segments.set(segmentId, account);
    return account;
  }

  /** A chunk record at a place: the newest copy of a name counts. Returns whether it was taken. */
  applyChunk(chunk: ChunkIdentity, place: Place, flags: number): boolean {
    this.changes++;
    const to: ChunkPlace = { ...place, blockCount: chunk.blockCount, tableCrc: chunk.tableCrc, flags };
    const row = this.index.findName(chunk.name);
    if (row < 0) this.index.add(chunk.name, to);
    else {
      const from = this.index.placeAt(row);
      if (isBefore(place, from)) return false;
      this.#count(from, -1);
      this.index.move(row, to);
    }
    this.#count(to, 1);
    return true;
  }

  /** One entry of a delete record: kills the copy if it lies before the bound. Returns whether one was there. */
  applyDelete(name: ChunkName, bound: Place): boolean {
    this.changes++;
    const row = this.index.findName(name);
    if (row < 0) return false;
    const place = this.index.placeAt(row);
    if (!isBefore(place, bound)) return false;
    this.#count(place, -1);
    this.index.remove(row);
    return true;
  }

  /** Counts a delete record into its segment. */
  accountDeletes(
    segmentId: number,
    recordBytes: number,
    entries: readonly Pick<BoundDeleteEntry, "deadSegment">[],
  ): void {
    const account = this.segments.get(segmentId);
    if (!account) return;
    account.deleteBytes += recordBytes;
    for (const { deadSegment } of entries) account.deadSegmentMax = Math.max(account.deadSegmentMax, deadSegment);
  }

  /** Forgets a chunk whose segment is gone. */
  dropRow(row: number): void {
    this.#count(this.index.placeAt(row), -1);
    this.index.remove(row);
  }

  /** The smallest id of a segment other than `except`; Infinity if there is none. */
  oldestSegment(except?: number): number {
    for (const segmentId of this.segments.keys()) if (segmentId !== except) return segmentId;
    return Number.POSITIVE_INFINITY;
  }

  /** Bytes of a segment that neither chunks nor needed deletions use. */
  garbageBytes(segmentId: number, lengthBytes: number): number {
    const account = this.segments.get(segmentId);
    if (!account) return 0;
    const deletesNeeded = this.oldestSegment(segmentId) <= account.deadSegmentMax;
    return Math.max(0, lengthBytes - account.liveBytes - (deletesNeeded ? account.deleteBytes : 0));
  }

  #count(place: ChunkPlace, sign: 1 | -1): void {
    const bytes = sign * chunkRecordBytes(place.blockCount);
    this.liveBytes += bytes;
    const account = this.segments.get(place.segmentId);
    if (!account) return;
    account.liveBytes += bytes;
    account.liveCount += sign;
  }
}
