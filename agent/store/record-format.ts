/**
 * What every record of a pool starts with, whatever its type. All integers are little-endian; reserved bytes are zero.
 *
 *   0 u32 magic "CoSR"        4 u16 format version     6 u8 record type      7 u8 reserved
 *   8 u32 header bytes       12 u32 header CRC        16 u32 flags          20 u32 body bytes (what follows the header)
 *  24 u64 required features  32 u64 segment id        40 u64 offset in the segment
 *  48 16  pool uuid          64 … by type
 *
 * The header is a multiple of 4096 bytes. Its CRC32C covers all of it except the four bytes of the CRC, and stays at this place in every
 * version, so that a reader can tell damage from a format it does not know. Segment id and offset let a reader recognise a record
 * that is not where it was meant to be: stale content of a reused slot, or a misdirected write.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";

export const recordAlignBytes = 4096;
export const recordMagic = 0x5253_6f43; // "CoSR"
export const recordFormatVersion = 1;
export const recordPrefixBytes = 64;
/** The longest header region: a 64 MiB chunk's table and the fixed part. */
export const headerBytesMax = 17 * recordAlignBytes;

/** Record types; the numbers are the format's. */
export const recordType = { segment: 1, chunk: 2, delete: 3 } as const;
export type RecordType = (typeof recordType)[keyof typeof recordType];

export interface RecordPrefix {
  type: number;
  headerBytes: number;
  bodyBytes: number;
  segmentId: number;
  segmentOffset: number;
}

export const prefixOffset = {
  magic: 0,
  version: 4,
  type: 6,
  reserved: 7,
  headerBytes: 8,
  headerCrc: 12,
  flags: 16,
  bodyBytes: 20,
  requiredFeatures: 24,
  segmentId: 32,
  segmentOffset: 40,
  poolUuid: 48,
} as const;

/** Damage: the bytes are not what was written. */
export function corrupt(field: string, got: unknown, allowed: string): AppError {
  return new AppError("ChunkCorrupt", `record header: ${field}: got ${got}, expected ${allowed}`, {
    data: { field, got: String(got), allowed },
  });
}

/** A valid record of a version or feature that this program does not know. */
function unknownFormat(field: string, got: unknown, allowed: string): AppError {
  return new AppError(
    "IncompatibleVersion",
    `record header: ${field}: got ${got}, this program knows ${allowed}; use the version that wrote it or a newer one`,
    { data: { field, got: String(got), allowed } },
  );
}

/** The view made last: the same header is looked at many times in a row, and making a view costs more than a look. */
let viewed: { bytes: Uint8Array; view: DataView } | undefined;
/** Larger memory is not held on to. */
const viewedBytesMax = 2 ** 20;

/** A view for reading and writing numbers in `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  if (viewed?.bytes === bytes) return viewed.view;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.byteLength <= viewedBytesMax) viewed = { bytes, view };
  return view;
}

/** Writes a safe integer as u64. */
export function setU64(view: DataView, offset: number, value: number): void {
  view.setUint32(offset, value % 2 ** 32, true);
  view.setUint32(offset + 4, Math.floor(value / 2 ** 32), true);
}

/** Reads a u64 that must be a safe integer; `field` names it in the error. */
export function getU64(view: DataView, offset: number, field: string): number {
  const high = view.getUint32(offset + 4, true);
  if (high > 0x1f_ffff) throw corrupt(field, `0x${high.toString(16)}…`, "at most 2^53 - 1");
  return high * 2 ** 32 + view.getUint32(offset, true);
}

/** UUIDs written and read lately: the same few come again in every header, and converting them costs more than all the rest of it. */
const uuidsWritten = new Map<string, Uint8Array>();
const uuidsRead: { words: readonly [number, number, number, number]; text: string }[] = [];
const uuidSlots = 64;

/** Writes a UUID's sixteen bytes. */
export function setUuid(into: Uint8Array, offset: number, uuid: string): void {
  let bytes = uuidsWritten.get(uuid);
  if (!bytes) {
    bytes = Uint8Array.from(Buffer.from(uuid.replaceAll("-", ""), "hex"));
    if (uuidsWritten.size >= uuidSlots) uuidsWritten.clear();
    uuidsWritten.set(uuid, bytes);
  }
  into.set(bytes, offset);
}

/** Reads sixteen bytes as a UUID in lower case. */
export function getUuid(from: Uint8Array, offset: number): string {
  const view = viewOf(from);
  const a = view.getUint32(offset);
  const b = view.getUint32(offset + 4);
  const c = view.getUint32(offset + 8);
  const d = view.getUint32(offset + 12);
  const slot = ((a ^ b ^ c ^ d) >>> 0) % uuidSlots;
  const known = uuidsRead[slot];
  if (known) {
    const { words } = known;
    if (words[0] === a && words[1] === b && words[2] === c && words[3] === d) return known.text;
  }
  const hex = Buffer.from(from.subarray(offset, offset + 16)).toString("hex");
  const text = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  uuidsRead[slot] = { words: [a, b, c, d], text };
  return text;
}

const zeros = Buffer.alloc(headerBytesMax);

/** Throws unless bytes `from` … `to` are zero; they are at most `headerBytesMax`. */
export function checkZero(bytes: Uint8Array, from: number, to: number, field: string): void {
  const end = Math.min(to, bytes.byteLength);
  if (from >= end || zeros.compare(bytes, from, end, 0, end - from) === 0) return;
  const part = bytes.subarray(from, end);
  const at = part.findIndex((byte) => byte !== 0);
  throw corrupt(field, `byte ${from + at} = ${part[at]}`, "0");
}

/** Rounds up to whole 4 KiB. */
export function alignUp(bytes: number): number {
  return Math.ceil(bytes / recordAlignBytes) * recordAlignBytes;
}

/** CRC32C of the header region that `record` begins with, without the CRC's own four bytes. */
function headerCrc(record: Uint8Array, headerBytes: number, checksum: Checksum): number {
  const before = checksum.crc32c(record, 0, 0, prefixOffset.headerCrc);
  return checksum.crc32c(record, before, prefixOffset.headerCrc + 4, headerBytes);
}

/** Fills the common fields; the CRC is left to `sealHeader`. */
export function writePrefix(header: Uint8Array, type: RecordType, bodyBytes: number): DataView {
  const view = viewOf(header);
  view.setUint32(prefixOffset.magic, recordMagic, true);
  view.setUint16(prefixOffset.version, recordFormatVersion, true);
  view.setUint8(prefixOffset.type, type);
  view.setUint32(prefixOffset.headerBytes, header.byteLength, true);
  view.setUint32(prefixOffset.bodyBytes, bodyBytes, true);
  return view;
}

/** Writes the header's CRC: the last step of making a header. `record` begins with it. */
export function sealHeader(record: Uint8Array, checksum: Checksum, headerBytes = record.byteLength): void {
  viewOf(record).setUint32(prefixOffset.headerCrc, headerCrc(record, headerBytes, checksum), true);
}

/** Puts a finished record, or its header alone, at its place in a pool: sets pool, segment and offset, and the header's CRC anew. */
export function stampHeader(
  record: Uint8Array,
  place: { poolUuid: string; segmentId: number; segmentOffset: number },
  checksum: Checksum,
): void {
  const view = viewOf(record);
  setUuid(record, prefixOffset.poolUuid, place.poolUuid);
  setU64(view, prefixOffset.segmentId, place.segmentId);
  setU64(view, prefixOffset.segmentOffset, place.segmentOffset);
  sealHeader(record, checksum, view.getUint32(prefixOffset.headerBytes, true));
}

/** The length that a header claims, or 0 if these bytes cannot start a record. A cheap look before the CRC. */
export function claimedHeaderBytes(bytes: Uint8Array): number {
  if (bytes.byteLength < recordPrefixBytes) return 0;
  const view = viewOf(bytes);
  if (view.getUint32(prefixOffset.magic, true) !== recordMagic) return 0;
  const headerBytes = view.getUint32(prefixOffset.headerBytes, true);
  const plausible = headerBytes > 0 && headerBytes <= headerBytesMax && headerBytes % recordAlignBytes === 0;
  return plausible ? headerBytes : 0;
}

/**
 * Checks and reads what every record has. `bytes` must hold the whole header region.
 * Throws `ChunkCorrupt` naming the field for damage and `IncompatibleVersion` for a valid header of another format.
 */
export function readPrefix(bytes: Uint8Array, checksum: Checksum): RecordPrefix {
  if (bytes.byteLength < recordAlignBytes) throw corrupt("length", bytes.byteLength, `at least ${recordAlignBytes}`);
  const view = viewOf(bytes);
  const magic = view.getUint32(prefixOffset.magic, true);
  if (magic !== recordMagic) throw corrupt("magic", `0x${magic.toString(16)}`, `0x${recordMagic.toString(16)}`);
  const headerBytes = claimedHeaderBytes(bytes);
  if (headerBytes === 0 || headerBytes > bytes.byteLength) {
    const got = view.getUint32(prefixOffset.headerBytes, true);
    throw corrupt("headerBytes", got, `a multiple of 4096 in 4096 … ${Math.min(bytes.byteLength, headerBytesMax)}`);
  }
  const stored = view.getUint32(prefixOffset.headerCrc, true);
  const actual = headerCrc(bytes, headerBytes, checksum);
  if (stored !== actual) throw corrupt("headerCrc", `0x${stored.toString(16)}`, `0x${actual.toString(16)}`);
  checkKnown(view);
  return {
    type: view.getUint8(prefixOffset.type),
    headerBytes,
    bodyBytes: view.getUint32(prefixOffset.bodyBytes, true),
    segmentId: getU64(view, prefixOffset.segmentId, "segmentId"),
    segmentOffset: getU64(view, prefixOffset.segmentOffset, "segmentOffset"),
  };
}

function checkKnown(view: DataView): void {
  const version = view.getUint16(prefixOffset.version, true);
  if (version !== recordFormatVersion) throw unknownFormat("formatVersion", version, `${recordFormatVersion}`);
  const low = view.getUint32(prefixOffset.requiredFeatures, true);
  const high = view.getUint32(prefixOffset.requiredFeatures + 4, true);
  if (low !== 0 || high !== 0)
    throw unknownFormat("requiredFeatures", `0x${(BigInt(high) * 2n ** 32n + BigInt(low)).toString(16)}`, "none");
  const flags = view.getUint32(prefixOffset.flags, true);
  if (flags !== 0) throw unknownFormat("flags", `0x${flags.toString(16)}`, "none");
  if (view.getUint8(prefixOffset.reserved) !== 0) throw corrupt("reserved", view.getUint8(prefixOffset.reserved), "0");
}
