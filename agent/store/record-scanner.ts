/**
 * Reads what a segment holds, record by record. Where a header does not verify it goes on at every 4 KiB until one does that names this pool,
 * this segment and its own offset, so a damaged header costs its own chunk only.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { type ChunkIdentity, readChunkIdentity } from "./chunk-identity.ts";
import { type BoundDeleteEntry, decodeDelete } from "./delete-format.ts";
import type { Medium } from "./medium.ts";
import { readAround } from "./read-around.ts";
import {
  claimedHeaderBytes,
  getUuid,
  prefixOffset,
  type RecordPrefix,
  readPrefix,
  recordAlignBytes,
  recordType,
} from "./record-format.ts";

export type ScannedRecord =
  | { kind: "chunk"; offset: number; recordBytes: number; chunk: ChunkIdentity }
  | { kind: "delete"; offset: number; recordBytes: number; entries: BoundDeleteEntry[] };

export interface DamagedRange {
  segmentId: number;
  fromOffset: number;
  toOffset: number;
  what: string;
}

/** The `what` of a range with blocks that could not be read: what is in it may be readable another time, so its segment is not removed. */
export const unreadable = "blocks that can't be read";
/** A segment with more of them is not scanned: the medium is failing as a whole, and what is on it is unknown rather than absent. */
const unreadableBlocksMax = 32;

export interface SegmentScan {
  records: ScannedRecord[];
  damage: DamagedRange[];
  /** Behind the last intact record. */
  endOffset: number;
}

export interface ScanOptions {
  medium: Medium;
  checksum: Checksum;
  segmentId: number;
  fromOffset: number;
  /** Do not look beyond: what is there may be in the midst of being written. */
  toOffset?: number;
  /** Stop after so many records. */
  recordsMax?: number;
}

const windowBytes = 2 ** 20;
/** Records longer than this are skipped over by reading their headers alone. */
const skipBytes = 64 * 1024;

/** A window over a segment that is read forward. */
class Window {
  readonly #options: ScanOptions;
  readonly #sizeBytes: number;
  #bytes = new Uint8Array(0);
  #start = 0;
  #unreadableBlocks = 0;

  constructor(options: ScanOptions, sizeBytes: number) {
    this.#options = options;
    this.#sizeBytes = sizeBytes;
  }

  get unreadableBlocks(): number {
    return this.#unreadableBlocks;
  }

  /** The bytes from `offset` on, at least `length` of them unless the segment ends before; `wanted` are read at once. */
  async at(offset: number, length: number, wanted: number): Promise<Uint8Array> {
    const have = this.#start + this.#bytes.byteLength - offset;
    if (offset < this.#start || have < Math.min(length, this.#sizeBytes - offset)) {
      const bytes = new Uint8Array(Math.max(0, Math.min(Math.max(wanted, length), this.#sizeBytes - offset)));
      const { medium, segmentId } = this.#options;
      const left = unreadableBlocksMax - this.#unreadableBlocks;
      const got = await readAround((into, at) => medium.read(segmentId, into, at), bytes, offset, left);
      this.#unreadableBlocks += got.unreadableBlocks;
      this.#bytes = bytes.subarray(0, got.count);
      this.#start = offset;
    }
    return this.#bytes.subarray(offset - this.#start);
  }
}

/** Scans a segment from an offset to its end. Throws `IncompatibleVersion` at a valid record of an unknown format, and `FileSystemError`. */
export async function scanSegment(options: ScanOptions): Promise<SegmentScan> {
  const { medium, segmentId } = options;
  const sizeBytes = Math.min(await medium.sizeBytes(segmentId), options.toOffset ?? Number.POSITIVE_INFINITY);
  const window = new Window(options, sizeBytes);
  const scan: SegmentScan = { records: [], damage: [], endOffset: options.fromOffset };
  let damagedFrom: number | undefined;
  let wanted = windowBytes;
  let offset = options.fromOffset;
  while (offset < sizeBytes && scan.records.length < (options.recordsMax ?? Number.POSITIVE_INFINITY)) {
    const prefix = await readHeader(options, window, offset, wanted);
    const recordBytes = prefix ? prefix.headerBytes + prefix.bodyBytes : 0;
    if (!prefix || offset + recordBytes > sizeBytes) {
      damagedFrom ??= offset;
      offset += recordAlignBytes;
      wanted = windowBytes;
      continue;
    }
    if (damagedFrom !== undefined)
      scan.damage.push({ segmentId, fromOffset: damagedFrom, toOffset: offset, what: "no valid record" });
    damagedFrom = undefined;
    const record = readRecord(options.checksum, prefix.bytes, prefix, offset);
    if (record) scan.records.push(record);
    wanted = recordBytes > skipBytes ? prefix.headerBytes : windowBytes;
    offset += recordBytes;
    scan.endOffset = offset;
  }
  if (window.unreadableBlocks > 0)
    scan.damage.push({ segmentId, fromOffset: options.fromOffset, toOffset: sizeBytes, what: unreadable });
  // What is behind the last record is a torn end or, in a slot that was used before, old content; the caller knows which segment may have it.
  if (damagedFrom !== undefined)
    scan.damage.push({ segmentId, fromOffset: damagedFrom, toOffset: sizeBytes, what: "end" });
  return scan;
}

async function readHeader(
  { medium, checksum, segmentId }: ScanOptions,
  window: Window,
  offset: number,
  wanted: number,
): Promise<(RecordPrefix & { bytes: Uint8Array }) | undefined> {
  const first = await window.at(offset, recordAlignBytes, wanted);
  const headerBytes = claimedHeaderBytes(first);
  if (headerBytes === 0) return undefined;
  const bytes = (await window.at(offset, headerBytes, wanted)).subarray(0, headerBytes);
  try {
    const prefix = readPrefix(bytes, checksum);
    const ours =
      prefix.segmentId === segmentId &&
      prefix.segmentOffset === offset &&
      getUuid(bytes, prefixOffset.poolUuid) === medium.superblock.poolUuid;
    return ours ? { ...prefix, bytes } : undefined;
  } catch (error) {
    if (error instanceof AppError && error.code === "ChunkCorrupt") return undefined;
    throw error;
  }
}

function readRecord(
  checksum: Checksum,
  bytes: Uint8Array,
  prefix: RecordPrefix,
  offset: number,
): ScannedRecord | undefined {
  const recordBytes = prefix.headerBytes + prefix.bodyBytes;
  if (prefix.type === recordType.chunk) return { kind: "chunk", offset, recordBytes, chunk: readChunkIdentity(bytes) };
  if (prefix.type === recordType.delete)
    return { kind: "delete", offset, recordBytes, entries: decodeDelete(bytes, checksum) };
  if (prefix.type === recordType.segment) return undefined;
  throw new AppError(
    "IncompatibleVersion",
    `record type ${prefix.type} is not known; use the version that wrote it or a newer one`,
  );
}
