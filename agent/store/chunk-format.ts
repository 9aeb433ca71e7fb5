/**
 * The chunk record: a header that says all about the chunk, the CRC32C of each 4 KiB block, then the data. See `record-format.ts` for
 * bytes 0 … 63. From 64 on:
 *
 *   64 cluster uuid    80 volume uuid      96 journal id       112 origin volume uuid     128 key id (zero: not encrypted)
 *  144 u64 stripe     152 u64 encode epoch 160 u64 put epoch   168 u64 through seq        176 u64 volume size in bytes
 *  184 u32 shard      188 u32 generation   192 u32 encode act  196 u32 put act            200 u32 placement version
 *  204 8×u8 code: family, k (n), m (l), g, matrix id, field polynomial, 0, 0
 *  212 u32 stripe bytes  216 u32 shard bytes  220 u32 stored bytes  224 u16 block bytes  226 u8 checksum kind  227 u8 0
 *  228 u32 stripe digest 232 u32 table CRC  236 u32 stripes per run  240 u32 policy's stripe bytes  244 u32 block count
 *  248 64 volume name: u8 length, then UTF-8    312 … 383 reserved    384 … CRC table, u32 a block, zeros to the end of the header
 */
import type { ChunkInfo } from "@couchestor/common/api/chunks.ts";
import { blockBytes, fieldPolynomial, shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { codeFromBytes, codeToBytes } from "./code-format.ts";
import {
  alignUp,
  checkZero,
  corrupt,
  getU64,
  getUuid,
  prefixOffset,
  type RecordPrefix,
  readPrefix,
  recordType,
  sealHeader,
  setU64,
  setUuid,
  viewOf,
  writePrefix,
} from "./record-format.ts";

/** The largest shard that can be stored. */
export const chunkBytesMax = 64 * 2 ** 20;
export const chunkTableOffset = 384;
export const volumeNameBytesMax = 63;
const checksumKindCrc32c = 1;
const text = new TextDecoder();

export const chunkOffset = {
  clusterUuid: 64,
  volumeUuid: 80,
  journalId: 96,
  originVolumeUuid: 112,
  keyId: 128,
  stripe: 144,
  encodeEpoch: 152,
  putEpoch: 160,
  throughSeq: 168,
  volumeSizeBytes: 176,
  shardIndex: 184,
  generation: 188,
  encodeAct: 192,
  putAct: 196,
  placementVersion: 200,
  code: 204,
  stripeBytes: 212,
  shardBytes: 216,
  storedBytes: 220,
  blockBytes: 224,
  checksumKind: 226,
  reservedA: 227,
  stripeDigest: 228,
  tableCrc: 232,
  stripesPerRun: 236,
  policyStripeBytes: 240,
  blockCount: 244,
  volumeName: 248,
  reservedB: 312,
} as const;

/** What `encodeChunk` takes: all fields but the one it computes. `poolUuid` is set anew by the pool that stores the chunk. */
export type ChunkFields = Omit<ChunkInfo, "tableCrc">;

export interface DecodedChunk extends RecordPrefix {
  info: ChunkInfo;
  /** One CRC32C a block, copied out of the header. */
  crcs: Uint32Array;
}

/** The length of the header region of a chunk of so many blocks, in bytes. */
export function chunkHeaderBytes(blockCount: number): number {
  return alignUp(chunkTableOffset + 4 * blockCount);
}

/** A CRC table as it is on disk: u32 LE each. */
function tableBytes(crcs: Uint32Array): Uint8Array {
  const out = new Uint8Array(crcs.length * 4);
  const view = viewOf(out);
  for (let i = 0; i < crcs.length; i++) view.setUint32(i * 4, crcs[i] ?? 0, true);
  return out;
}

/** CRC32C of one chunk's CRC table. */
export function tableCrc(crcs: Uint32Array, checksum: Checksum): number {
  return checksum.crc32c(tableBytes(crcs));
}

/** CRC32C over the CRC tables of all shards of a stripe, in shard order: an audit that shards belong together. */
export function stripeDigest(tables: readonly Uint32Array[], checksum: Checksum): number {
  let crc = 0;
  for (const table of tables) crc = checksum.crc32c(tableBytes(table), crc);
  return crc;
}

function invalid(field: string, got: unknown, allowed: string): AppError {
  return new AppError("InvalidArgument", `chunk: ${field}: got ${got}, allowed: ${allowed}`, {
    data: { field, got: String(got), allowed },
  });
}

function checkDataBytes(dataBytes: number): void {
  if (dataBytes > chunkBytesMax)
    throw new AppError("TooLarge", `chunk: got ${dataBytes} bytes of data, at most ${chunkBytesMax} are allowed`, {
      data: { field: "shardBytes", got: dataBytes, allowed: chunkBytesMax },
    });
  if (dataBytes === 0 || dataBytes % blockBytes !== 0)
    throw invalid("data", `${dataBytes} bytes`, `a multiple of ${blockBytes} in ${blockBytes} … ${chunkBytesMax}`);
}

const u32Fields = [
  "shardIndex",
  "generation",
  "encodeAct",
  "putAct",
  "placementVersion",
  "stripeBytes",
  "shardBytes",
  "storedBytes",
  "stripeDigest",
  "stripesPerRun",
  "policyStripeBytes",
] as const satisfies readonly (keyof ChunkFields)[];
const u64Fields = ["stripe", "encodeEpoch", "putEpoch", "throughSeq", "volumeSizeBytes"] as const;
const uuidFields = ["clusterUuid", "volumeUuid", "journalId", "originVolumeUuid"] as const;
const uuidPattern = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/;

/**
 * Makes the header region alone, from CRCs computed already: one CRC32C for each 4 KiB of the data that is to follow it.
 * Throws `InvalidArgument` or `TooLarge` naming the field.
 */
export function encodeChunkHeader(fields: ChunkFields, crcs: Uint32Array, checksum: Checksum): Uint8Array {
  const dataBytes = crcs.length * blockBytes;
  checkDataBytes(dataBytes);
  if (fields.shardBytes !== dataBytes) throw invalid("shardBytes", fields.shardBytes, `${dataBytes}, as the data`);
  if (fields.storedBytes !== dataBytes) throw invalid("storedBytes", fields.storedBytes, `${dataBytes}, as the data`);
  const shards = shardCount(fields.code);
  if (fields.shardIndex >= shards) throw invalid("shardIndex", fields.shardIndex, `0 … ${shards - 1} with this code`);
  const header = new Uint8Array(chunkHeaderBytes(crcs.length));
  const view = writePrefix(header, recordType.chunk, dataBytes);
  if (!uuidPattern.test(fields.poolUuid)) throw invalid("poolUuid", fields.poolUuid, "a UUID in lower case");
  setUuid(header, prefixOffset.poolUuid, fields.poolUuid);
  for (const field of uuidFields) {
    if (!uuidPattern.test(fields[field])) throw invalid(field, fields[field], "a UUID in lower case");
    setUuid(header, chunkOffset[field], fields[field]);
  }
  for (const field of u64Fields) {
    const value = fields[field];
    if (!Number.isSafeInteger(value) || value < 0) throw invalid(field, value, "an integer in 0 … 2^53 - 1");
    setU64(view, chunkOffset[field], value);
  }
  for (const field of u32Fields) {
    const value = fields[field];
    if (!Number.isInteger(value) || value < 0 || value > 0xffff_ffff) throw invalid(field, value, "0 … 2^32 - 1");
    view.setUint32(chunkOffset[field], value, true);
  }
  if (!(fields.matrixId >= 0 && fields.matrixId <= 255)) throw invalid("matrixId", fields.matrixId, "0 … 255");
  header.set(codeToBytes(fields.code, fields.matrixId, fieldPolynomial), chunkOffset.code);
  view.setUint16(chunkOffset.blockBytes, blockBytes, true);
  view.setUint8(chunkOffset.checksumKind, checksumKindCrc32c);
  view.setUint32(chunkOffset.blockCount, crcs.length, true);
  writeName(header, fields.volumeName);
  header.set(tableBytes(crcs), chunkTableOffset);
  view.setUint32(chunkOffset.tableCrc, tableCrc(crcs, checksum), true);
  sealHeader(header, checksum);
  return header;
}

function writeName(header: Uint8Array, volumeName: string): void {
  const name = new TextEncoder().encode(volumeName);
  if (name.byteLength > volumeNameBytesMax)
    throw invalid("volumeName", `${name.byteLength} bytes`, `at most ${volumeNameBytesMax} bytes of UTF-8`);
  header[chunkOffset.volumeName] = name.byteLength;
  header.set(name, chunkOffset.volumeName + 1);
}

/** Makes a whole chunk image: header region, then `data` (whole 4 KiB blocks). Throws as `encodeChunkHeader`. */
export function encodeChunk(fields: ChunkFields, data: Uint8Array, checksum: Checksum): Uint8Array {
  checkDataBytes(data.byteLength);
  const crcs = new Uint32Array(data.byteLength / blockBytes);
  checksum.crc32cBlocks(data, crcs);
  const header = encodeChunkHeader(fields, crcs, checksum);
  const image = new Uint8Array(header.byteLength + data.byteLength);
  image.set(header);
  image.set(data, header.byteLength);
  return image;
}

/**
 * Checks and reads a chunk's header; `bytes` begins with it and holds all of it (the data may follow). Does not look at the data.
 * Throws `ChunkCorrupt` naming the field, or `IncompatibleVersion` for a valid header of another format.
 */
export function decodeChunkHeader(bytes: Uint8Array, checksum: Checksum): DecodedChunk {
  const prefix = readPrefix(bytes, checksum);
  if (prefix.type !== recordType.chunk) throw corrupt("recordType", prefix.type, `${recordType.chunk} (a chunk)`);
  const view = viewOf(bytes);
  const crcs = readTable(bytes, view, prefix, checksum);
  const info = readInfo(bytes, view);
  if (info.storedBytes !== prefix.bodyBytes) throw corrupt("storedBytes", info.storedBytes, `${prefix.bodyBytes}`);
  if (info.shardBytes !== info.storedBytes) throw corrupt("shardBytes", info.shardBytes, `${info.storedBytes}`);
  const shards = shardCount(info.code);
  if (info.shardIndex >= shards) throw corrupt("shardIndex", info.shardIndex, `0 … ${shards - 1} with this code`);
  return { ...prefix, info, crcs };
}

function readTable(bytes: Uint8Array, view: DataView, prefix: RecordPrefix, checksum: Checksum): Uint32Array {
  const count = view.getUint32(chunkOffset.blockCount, true);
  const { bodyBytes, headerBytes } = prefix;
  if (bodyBytes === 0 || bodyBytes > chunkBytesMax || bodyBytes % blockBytes !== 0)
    throw corrupt("bodyBytes", bodyBytes, `a multiple of ${blockBytes} in ${blockBytes} … ${chunkBytesMax}`);
  if (count * blockBytes !== bodyBytes) throw corrupt("blockCount", count, `${bodyBytes / blockBytes}`);
  if (chunkHeaderBytes(count) !== headerBytes) throw corrupt("headerBytes", headerBytes, `${chunkHeaderBytes(count)}`);
  const tableEnd = chunkTableOffset + 4 * count;
  checkZero(bytes, tableEnd, headerBytes, "padding behind the CRC table");
  checkZero(bytes, chunkOffset.reservedB, chunkTableOffset, "reserved");
  checkZero(bytes, chunkOffset.reservedA, chunkOffset.reservedA + 1, "reserved");
  const stored = view.getUint32(chunkOffset.tableCrc, true);
  const actual = checksum.crc32c(bytes, 0, chunkTableOffset, tableEnd);
  if (stored !== actual) throw corrupt("tableCrc", `0x${stored.toString(16)}`, `0x${actual.toString(16)}`);
  const crcs = new Uint32Array(count);
  for (let i = 0; i < count; i++) crcs[i] = view.getUint32(chunkTableOffset + 4 * i, true);
  return crcs;
}

function readInfo(bytes: Uint8Array, view: DataView): ChunkInfo {
  const u32 = (offset: number): number => view.getUint32(offset, true);
  const { code, matrixId } = codeFromBytes(bytes, chunkOffset.code);
  const block = view.getUint16(chunkOffset.blockBytes, true);
  if (block !== blockBytes) throw corrupt("blockBytes", block, `${blockBytes}`);
  const kind = view.getUint8(chunkOffset.checksumKind);
  if (kind !== checksumKindCrc32c) throw corrupt("checksumKind", kind, `${checksumKindCrc32c} (CRC32C)`);
  checkZero(bytes, chunkOffset.keyId, chunkOffset.keyId + 16, "keyId");
  return {
    volumeUuid: getUuid(bytes, chunkOffset.volumeUuid),
    stripe: getU64(view, chunkOffset.stripe, "stripe"),
    shardIndex: u32(chunkOffset.shardIndex),
    generation: u32(chunkOffset.generation),
    encodeEpoch: getU64(view, chunkOffset.encodeEpoch, "encodeEpoch"),
    encodeAct: u32(chunkOffset.encodeAct),
    putEpoch: getU64(view, chunkOffset.putEpoch, "putEpoch"),
    putAct: u32(chunkOffset.putAct),
    clusterUuid: getUuid(bytes, chunkOffset.clusterUuid),
    journalId: getUuid(bytes, chunkOffset.journalId),
    poolUuid: getUuid(bytes, prefixOffset.poolUuid),
    originVolumeUuid: getUuid(bytes, chunkOffset.originVolumeUuid),
    throughSeq: getU64(view, chunkOffset.throughSeq, "throughSeq"),
    placementVersion: u32(chunkOffset.placementVersion),
    code,
    matrixId,
    stripeBytes: u32(chunkOffset.stripeBytes),
    shardBytes: u32(chunkOffset.shardBytes),
    storedBytes: u32(chunkOffset.storedBytes),
    stripeDigest: u32(chunkOffset.stripeDigest),
    tableCrc: u32(chunkOffset.tableCrc),
    volumeName: readName(bytes),
    volumeSizeBytes: getU64(view, chunkOffset.volumeSizeBytes, "volumeSizeBytes"),
    stripesPerRun: u32(chunkOffset.stripesPerRun),
    policyStripeBytes: u32(chunkOffset.policyStripeBytes),
  };
}

/** The name read last, with its length and padding: chunks that come together are of one volume. */
let lastName: { field: Buffer; name: string } | undefined;

function readName(bytes: Uint8Array): string {
  const at = chunkOffset.volumeName;
  const end = chunkOffset.reservedB;
  if (lastName?.field.compare(bytes, at, end) === 0) return lastName.name;
  const length = bytes[at] ?? 0;
  if (length > volumeNameBytesMax) throw corrupt("volumeName", `${length} bytes`, `at most ${volumeNameBytesMax}`);
  checkZero(bytes, at + 1 + length, end, "padding behind volumeName");
  const name = text.decode(bytes.subarray(at + 1, at + 1 + length));
  lastName = { field: Buffer.from(bytes.subarray(at, end)), name };
  return name;
}
