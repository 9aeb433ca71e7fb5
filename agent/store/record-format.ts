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

/** A view for reading and writing numbers in `bytes`. */
export function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
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

/** Writes a UUID's sixteen bytes. */
export function setUuid(into: Uint8Array, offset: number, uuid: string): void {
  Buffer.from(into.buffer, into.byteOffset + offset, 16).write(uuid.replaceAll("-", ""), "hex");
}

/** UUIDs read lately: the same few come again in every header, and making the text anew costs more than all the rest of it. */
const uuidsRead: { bytes: Uint8Array; text: string }[] = [];
const uuidSlots = 64;

/** Reads sixteen bytes as a UUID in lower case. */
export function getUuid(from: Uint8Array, offset: number): string {
  const bytes = from.subarray(offset, offset + 16);
  const slot = ((bytes[0] ?? 0) ^ (bytes[5] ?? 0) ^ (bytes[15] ?? 0)) % uuidSlots;
  const known = uuidsRead[slot];
  if (known && Buffer.compare(known.bytes, bytes) === 0) return known.text;
  const hex = Buffer.from(bytes).toString("hex");
  const text = `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
  if (bytes.byteLength === 16) uuidsRead[slot] = { bytes: bytes.slice(), text };
  return text;
}

const zeros = new Uint8Array(headerBytesMax);

/** Throws unless bytes `from` … `to` are zero; they are at most `headerBytesMax`. */
export function checkZero(bytes: Uint8Array, from: number, to: number, field: string): void {
  const part = bytes.subarray(from, to);
  if (Buffer.compare(part, zeros.subarray(0, part.byteLength)) === 0) return;
  const at = part.findIndex((byte) => byte !== 0);
  throw corrupt(field, `byte ${from + at} = ${part[at]}`, "0");
}

/** Rounds up to whole 4 KiB. */
export function alignUp(bytes: number): number {
  return Math.ceil(bytes / recordAlignBytes) * recordAlignBytes;
}

/** CRC32C of a header region without the CRC's own four bytes. */
export function headerCrc(header: Uint8Array, checksum: Checksum): number {
  const before = checksum.crc32c(header.subarray(0, prefixOffset.headerCrc));
  return checksum.crc32c(header.subarray(prefixOffset.headerCrc + 4), before);
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

/** Writes the header's CRC: the last step of making a header. */
export function sealHeader(header: Uint8Array, checksum: Checksum): void {
  viewOf(header).setUint32(prefixOffset.headerCrc, headerCrc(header, checksum), true);
}

/** Puts a finished header at its place in a pool: sets pool, segment and offset, and the CRC anew. */
export function stampHeader(
  header: Uint8Array,
  place: { poolUuid: string; segmentId: number; segmentOffset: number },
  checksum: Checksum,
): void {
  const view = viewOf(header);
  setUuid(header, prefixOffset.poolUuid, place.poolUuid);
  setU64(view, prefixOffset.segmentId, place.segmentId);
  setU64(view, prefixOffset.segmentOffset, place.segmentOffset);
  sealHeader(header, checksum);
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
  const actual = headerCrc(bytes.subarray(0, headerBytes), checksum);
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
  const features = view.getBigUint64(prefixOffset.requiredFeatures, true);
  if (features !== 0n) throw unknownFormat("requiredFeatures", `0x${features.toString(16)}`, "none");
  const flags = view.getUint32(prefixOffset.flags, true);
  if (flags !== 0) throw unknownFormat("flags", `0x${flags.toString(16)}`, "none");
  if (view.getUint8(prefixOffset.reserved) !== 0) throw corrupt("reserved", view.getUint8(prefixOffset.reserved), "0");
}
