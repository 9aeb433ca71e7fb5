/**
 * The first record of a segment: one 4 KiB header with no body. From byte 64: u64 creation time (ms since 1970, advisory), u64 the size
 * the segment was meant to reach, zeros. See `record-format.ts` for bytes 0 … 63.
 */
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import {
  checkZero,
  corrupt,
  getU64,
  readPrefix,
  recordAlignBytes,
  recordType,
  setU64,
  stampHeader,
  viewOf,
  writePrefix,
} from "./record-format.ts";

export const segmentHeaderBytes = recordAlignBytes;
const createdOffset = 64;
const targetOffset = 72;
const reservedOffset = 80;

export interface SegmentHeader {
  poolUuid: string;
  segmentId: number;
  createdMs: number;
  targetBytes: number;
}

/** The header of a new segment. */
export function encodeSegmentHeader(header: SegmentHeader, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(segmentHeaderBytes);
  const view = writePrefix(bytes, recordType.segment, 0);
  setU64(view, createdOffset, header.createdMs);
  setU64(view, targetOffset, header.targetBytes);
  stampHeader(bytes, { poolUuid: header.poolUuid, segmentId: header.segmentId, segmentOffset: 0 }, checksum);
  return bytes;
}

/** Checks and reads a segment's header. Throws `ChunkCorrupt` naming the field, or `IncompatibleVersion`. */
export function decodeSegmentHeader(bytes: Uint8Array, checksum: Checksum): { segmentId: number; createdMs: number } {
  const prefix = readPrefix(bytes, checksum);
  if (prefix.type !== recordType.segment) throw corrupt("recordType", prefix.type, `${recordType.segment} (a segment)`);
  if (prefix.bodyBytes !== 0) throw corrupt("bodyBytes", prefix.bodyBytes, "0");
  if (prefix.segmentOffset !== 0) throw corrupt("segmentOffset", prefix.segmentOffset, "0");
  checkZero(bytes, reservedOffset, segmentHeaderBytes, "reserved");
  return { segmentId: prefix.segmentId, createdMs: getU64(viewOf(bytes), createdOffset, "createdMs") };
}
