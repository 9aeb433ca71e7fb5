/**
 * A delete record: names of chunks that are gone, each in full, with the act that ordered it [X1]. No body. From byte 64:
 * u32 entry count, u32 entry bytes (96), u64 zero, then the entries at 80, zeros to the end. An entry:
 *
 *   0 volume uuid   16 u64 stripe   24 u64 encode epoch   32 u64 put epoch   40 u64 ordered by: epoch
 *  48 u64 dead segment: where the chunk lay   56 u64 bound segment   64 u64 bound offset
 *  72 u32 generation   76 u32 encode act   80 u32 put act   84 u8 shard   85 u8 reason   86 u16 zero   88 u32 ordered by: act   92 u32 zero
 *
 * The bound is where the deletion was first written. It kills copies before that place only: compaction may write the entry again
 * further on without hurting a chunk that came back under the name in between.
 */
import type { ChunkName, DeleteRequest } from "@couchestor/common/api/chunks.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import {
  alignUp,
  checkZero,
  corrupt,
  getU64,
  getUuid,
  readPrefix,
  recordType,
  setU64,
  setUuid,
  stampHeader,
  viewOf,
  writePrefix,
} from "./record-format.ts";

export interface DeleteEntry {
  name: ChunkName;
  orderedBy: { epoch: number; actNo: number };
  reason: DeleteRequest["reason"];
  /** The segment that held the chunk when it was deleted. The entry is needed while that segment or an older one exists. */
  deadSegment: number;
  /** Where the deletion was first written; undefined for one that is being written now. */
  bound?: { segmentId: number; offset: number } | undefined;
}
export type BoundDeleteEntry = Required<DeleteEntry> & { bound: { segmentId: number; offset: number } };

export const deleteEntriesMax = 512;
const entryBytes = 96;
const entriesOffset = 80;
const reasons = ["superseded", "act-dropped", "garbage", "volume-deleted"] as const;

/** The length of a record of so many entries, in bytes. */
export function deleteRecordBytes(entryCount: number): number {
  return alignUp(entriesOffset + entryCount * entryBytes);
}

/** A delete record at its place. At most `deleteEntriesMax` entries. */
export function encodeDelete(
  entries: readonly DeleteEntry[],
  place: { poolUuid: string; segmentId: number; segmentOffset: number },
  checksum: Checksum,
): Uint8Array {
  const bytes = new Uint8Array(deleteRecordBytes(entries.length));
  const view = writePrefix(bytes, recordType.delete, 0);
  view.setUint32(64, entries.length, true);
  view.setUint32(68, entryBytes, true);
  entries.forEach((entry, i) => {
    const bound = entry.bound ?? { segmentId: place.segmentId, offset: place.segmentOffset };
    writeEntry(bytes, view, entriesOffset + i * entryBytes, { ...entry, bound });
  });
  stampHeader(bytes, place, checksum);
  return bytes;
}

function writeEntry(bytes: Uint8Array, view: DataView, at: number, entry: BoundDeleteEntry): void {
  const { name, orderedBy, bound } = entry;
  setUuid(bytes, at, name.volumeUuid);
  setU64(view, at + 16, name.stripe);
  setU64(view, at + 24, name.encodeEpoch);
  setU64(view, at + 32, name.putEpoch);
  setU64(view, at + 40, orderedBy.epoch);
  setU64(view, at + 48, entry.deadSegment);
  setU64(view, at + 56, bound.segmentId);
  setU64(view, at + 64, bound.offset);
  view.setUint32(at + 72, name.generation, true);
  view.setUint32(at + 76, name.encodeAct, true);
  view.setUint32(at + 80, name.putAct, true);
  view.setUint8(at + 84, name.shardIndex);
  view.setUint8(at + 85, reasons.indexOf(entry.reason) + 1);
  view.setUint32(at + 88, orderedBy.actNo, true);
}

/** Checks and reads a delete record. Throws `ChunkCorrupt` naming the field, or `IncompatibleVersion`. */
export function decodeDelete(bytes: Uint8Array, checksum: Checksum): BoundDeleteEntry[] {
  const prefix = readPrefix(bytes, checksum);
  if (prefix.type !== recordType.delete) throw corrupt("recordType", prefix.type, `${recordType.delete} (a deletion)`);
  const view = viewOf(bytes);
  const count = view.getUint32(64, true);
  if (count > deleteEntriesMax) throw corrupt("entry count", count, `at most ${deleteEntriesMax}`);
  if (view.getUint32(68, true) !== entryBytes) throw corrupt("entry bytes", view.getUint32(68, true), `${entryBytes}`);
  if (prefix.headerBytes !== deleteRecordBytes(count))
    throw corrupt("headerBytes", prefix.headerBytes, `${deleteRecordBytes(count)}`);
  if (prefix.bodyBytes !== 0) throw corrupt("bodyBytes", prefix.bodyBytes, "0");
  checkZero(bytes, 72, entriesOffset, "reserved");
  checkZero(bytes, entriesOffset + count * entryBytes, prefix.headerBytes, "padding behind the entries");
  return Array.from({ length: count }, (_, i) => readEntry(bytes, view, entriesOffset + i * entryBytes));
}

function readEntry(bytes: Uint8Array, view: DataView, at: number): BoundDeleteEntry {
  const reason = reasons[view.getUint8(at + 85) - 1];
  if (!reason) throw corrupt("reason", view.getUint8(at + 85), `1 … ${reasons.length}`);
  checkZero(bytes, at + 86, at + 88, "reserved of an entry");
  checkZero(bytes, at + 92, at + 96, "reserved of an entry");
  return {
    name: {
      volumeUuid: getUuid(bytes, at),
      stripe: getU64(view, at + 16, "stripe"),
      shardIndex: view.getUint8(at + 84),
      generation: view.getUint32(at + 72, true),
      encodeEpoch: getU64(view, at + 24, "encodeEpoch"),
      encodeAct: view.getUint32(at + 76, true),
      putEpoch: getU64(view, at + 32, "putEpoch"),
      putAct: view.getUint32(at + 80, true),
    },
    orderedBy: { epoch: getU64(view, at + 40, "orderedBy.epoch"), actNo: view.getUint32(at + 88, true) },
    reason,
    deadSegment: getU64(view, at + 48, "deadSegment"),
    bound: { segmentId: getU64(view, at + 56, "bound segment"), offset: getU64(view, at + 64, "bound offset") },
  };
}
