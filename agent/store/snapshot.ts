/**
 * The index on disk, for a fast start. It need not be of one moment: it says through where each segment is covered, and what was changed while
 * it was written is behind that place and is applied again, which changes nothing. Little-endian.
 *
 * Sections one behind the other: u32 kind, u32 CRC32C of header (this as 0) and payload, u64 payload bytes, u64 0, the payload, padding to 8 bytes.
 *   kind 0x31536f43 ("CoS1"): u32 version, u32 clean, 16 pool uuid, u64 words a row,
 *     u64 the segment that was being written, 0 if none   (once, first)
 *   2: segments, 40 bytes each: u64 id, u64 covered through, u64 delete bytes, u64 greatest dead segment, u64 0
 *   3: volume uuids, 16 bytes each      4: contexts, 24 bytes each: u64 volume number, u64 encode epoch, u64 put epoch
 *   5: a page of rows as `chunk-index.ts` has them      6: u64 count of row pages (once, last)
 */
import { endianness } from "node:os";
import type { FileHandle } from "@couchestor/common/runtime/file-system.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { decodeRowName, decodeRowPlace, rowInUse, rowsPerPage, rowWords } from "./chunk-index.ts";
import type { Context } from "./context-table.ts";
import type { SnapshotPlace } from "./medium.ts";
import { PoolMap } from "./pool-map.ts";
import { getU64, getUuid, setU64, setUuid, viewOf } from "./record-format.ts";

const kind = { head: 0x3153_6f43, segments: 2, volumes: 3, contexts: 4, rows: 5, end: 6 } as const;
const sectionHeaderBytes = 24;
const version = 1;
const headBytes = 40;
const segmentBytes = 40;
const contextBytes = 24;
/** No section is longer: contexts at their limit. */
const sectionBytesMax = 128 * 2 ** 20;

export interface LoadedSnapshot {
  map: PoolMap;
  /** Written when the pool was closed. */
  clean: boolean;
  /** The segment that was being written: all of it through what is covered was written whole. Others may end in something torn. */
  activeSegmentId: number | undefined;
}

/** What a payload of so many bytes is followed by, to a multiple of eight. */
function paddingBytes(length: number): number {
  return (8 - (length % 8)) % 8;
}

class SectionWriter {
  readonly #file: FileHandle;
  readonly #checksum: Checksum;
  #offset = 0;

  constructor(file: FileHandle, checksum: Checksum) {
    this.#file = file;
    this.#checksum = checksum;
  }

  async write(sectionKind: number, payload: Uint8Array): Promise<void> {
    const header = new Uint8Array(sectionHeaderBytes);
    const view = viewOf(header);
    view.setUint32(0, sectionKind, true);
    setU64(view, 8, payload.byteLength);
    view.setUint32(4, this.#checksum.crc32c(payload, this.#checksum.crc32c(header)), true);
    const padding = new Uint8Array(paddingBytes(payload.byteLength));
    await this.#file.write([header, payload, padding], this.#offset);
    this.#offset += sectionHeaderBytes + payload.byteLength + padding.byteLength;
  }
}

/** Writes a snapshot and makes it the pool's. The map may be changed meanwhile; one snapshot at a time. */
export async function saveSnapshot(options: {
  place: SnapshotPlace;
  map: PoolMap;
  poolUuid: string;
  clean: boolean;
  activeSegmentId: number | undefined;
  checksum: Checksum;
}): Promise<void> {
  if (endianness() !== "LE") throw new Error("index snapshots are written on little-endian machines only");
  const { map, checksum } = options;
  map.index.contexts.freeze();
  try {
    // These are of one moment; no await before they are made.
    const head = encodeHead(options.poolUuid, options.clean, options.activeSegmentId ?? 0);
    const segments = encodeSegments(map);
    const { volumes, contexts } = encodeContexts(map);
    await options.place.replace(async (file) => {
      const writer = new SectionWriter(file, checksum);
      await writer.write(kind.head, head);
      await writer.write(kind.segments, segments);
      await writer.write(kind.volumes, volumes);
      await writer.write(kind.contexts, contexts);
      let pages = 0;
      for (const page of map.index.pages()) {
        const copy = page.slice();
        await writer.write(kind.rows, new Uint8Array(copy.buffer));
        pages++;
      }
      const end = new Uint8Array(8);
      setU64(viewOf(end), 0, pages);
      await writer.write(kind.end, end);
    });
  } finally {
    map.index.contexts.thaw();
  }
}

function encodeHead(poolUuid: string, clean: boolean, activeSegmentId: number): Uint8Array {
  const head = new Uint8Array(headBytes);
  const view = viewOf(head);
  view.setUint32(0, version, true);
  view.setUint32(4, clean ? 1 : 0, true);
  setUuid(head, 8, poolUuid);
  setU64(view, 24, rowWords);
  setU64(view, 32, activeSegmentId);
  return head;
}

function encodeSegments(map: PoolMap): Uint8Array {
  const bytes = new Uint8Array(map.segments.size * segmentBytes);
  const view = viewOf(bytes);
  let at = 0;
  for (const [id, account] of map.segments) {
    setU64(view, at, id);
    setU64(view, at + 8, account.sizeBytes);
    setU64(view, at + 16, account.deleteBytes);
    setU64(view, at + 24, account.deadSegmentMax);
    at += segmentBytes;
  }
  return bytes;
}

function encodeContexts(map: PoolMap): { volumes: Uint8Array; contexts: Uint8Array } {
  const dump = map.index.contexts.dump();
  const volumes = new Uint8Array(dump.volumes.length * 16);
  dump.volumes.forEach((uuid, i) => {
    setUuid(volumes, i * 16, uuid);
  });
  const contexts = new Uint8Array(dump.contexts.length * contextBytes);
  const view = viewOf(contexts);
  dump.contexts.forEach((context, i) => {
    setU64(view, i * contextBytes, context.volume);
    setU64(view, i * contextBytes + 8, context.encodeEpoch);
    setU64(view, i * contextBytes + 16, context.putEpoch);
  });
  return { volumes, contexts };
}

/** Thrown inside this file only: the snapshot is not whole, or not this pool's. */
class Unusable extends Error {}

/** Reads the snapshot. Undefined if there is none, or it is damaged, of another format or of another pool: then the segments are scanned. */
export async function loadSnapshot(
  place: SnapshotPlace,
  poolUuid: string,
  checksum: Checksum,
): Promise<LoadedSnapshot | undefined> {
  const file = await place.open();
  if (!file) return undefined;
  try {
    return await load(file, poolUuid, checksum);
  } catch (error) {
    if (error instanceof Unusable) return undefined;
    throw error;
  } finally {
    await file.close();
  }
}

async function load(file: FileHandle, poolUuid: string, checksum: Checksum): Promise<LoadedSnapshot> {
  const sections = readSections(file, checksum);
  const head = await next(sections, kind.head);
  const view = viewOf(head);
  if (head.byteLength !== headBytes || view.getUint32(0, true) !== version) throw new Unusable("other version");
  if (getUuid(head, 8) !== poolUuid || getU64(view, 24, "row words") !== rowWords) throw new Unusable("other pool");
  const map = new PoolMap();
  decodeSegments(map, await next(sections, kind.segments));
  const volumeBytes = await next(sections, kind.volumes);
  const volumes = Array.from({ length: volumeBytes.byteLength / 16 }, (_, i) => getUuid(volumeBytes, i * 16));
  const contexts = decodeContexts(await next(sections, kind.contexts));
  let pages = 0;
  for await (const section of sections) {
    if (section.kind === kind.end) {
      if (getU64(viewOf(section.payload), 0, "pages") !== pages) throw new Unusable("pages are missing");
      const activeSegmentId = getU64(view, 32, "active segment") || undefined;
      return { map, clean: view.getUint32(4, true) === 1, activeSegmentId };
    }
    if (section.kind !== kind.rows) throw new Unusable("unexpected section");
    pages++;
    addRows(map, section.payload, volumes, contexts);
  }
  throw new Unusable("cut short");
}

function decodeSegments(map: PoolMap, bytes: Uint8Array): void {
  const view = viewOf(bytes);
  for (let at = 0; at < bytes.byteLength; at += segmentBytes) {
    const account = map.addSegment(getU64(view, at, "segment"), getU64(view, at + 8, "size"));
    account.deleteBytes = getU64(view, at + 16, "delete bytes");
    account.deadSegmentMax = getU64(view, at + 24, "dead segment");
  }
}

function decodeContexts(bytes: Uint8Array): Context[] {
  const view = viewOf(bytes);
  return Array.from({ length: bytes.byteLength / contextBytes }, (_, i) => ({
    volume: getU64(view, i * contextBytes, "volume"),
    encodeEpoch: getU64(view, i * contextBytes + 8, "encode epoch"),
    putEpoch: getU64(view, i * contextBytes + 16, "put epoch"),
  }));
}

function addRows(map: PoolMap, payload: Uint8Array, volumes: readonly string[], contexts: readonly Context[]): void {
  if (payload.byteLength > rowsPerPage * rowWords * 4 || payload.byteLength % (rowWords * 4) !== 0)
    throw new Unusable("row page");
  const words = new Uint32Array(payload.slice().buffer);
  const meaning = {
    context: (id: number): Context => contexts[id] ?? { volume: 0, encodeEpoch: 0, putEpoch: 0 },
    volumeUuid: (id: number): string => volumes[id] ?? "",
  };
  for (let at = 0; at < words.length; at += rowWords) {
    // A context that is not here was made after the segments' positions were taken: the row is found again behind them.
    if (!rowInUse(words, at) || (words[at] ?? 0) >= contexts.length) continue;
    const place = decodeRowPlace(words, at);
    const chunk = { name: decodeRowName(words, at, meaning), blockCount: place.blockCount, tableCrc: place.tableCrc };
    map.applyChunk(chunk, place, place.flags);
  }
}

async function* readSections(
  file: FileHandle,
  checksum: Checksum,
): AsyncGenerator<{ kind: number; payload: Uint8Array }> {
  const sizeBytes = await file.size();
  let offset = 0;
  while (offset + sectionHeaderBytes <= sizeBytes) {
    const header = new Uint8Array(sectionHeaderBytes);
    await file.read(header, offset);
    const view = viewOf(header);
    const length = view.getUint32(8, true);
    const long = view.getUint32(12, true) !== 0 || length > sectionBytesMax;
    if (long || offset + sectionHeaderBytes + length > sizeBytes) throw new Unusable("section length");
    const padded = new Uint8Array(length + paddingBytes(length));
    if ((await file.read(padded, offset + sectionHeaderBytes)) !== padded.byteLength) throw new Unusable("cut short");
    if (padded.subarray(length).some((byte) => byte !== 0)) throw new Unusable("padding");
    const payload = padded.subarray(0, length);
    const stored = view.getUint32(4, true);
    view.setUint32(4, 0, true);
    if (checksum.crc32c(payload, checksum.crc32c(header)) !== stored) throw new Unusable("CRC");
    yield { kind: view.getUint32(0, true), payload };
    offset += sectionHeaderBytes + padded.byteLength;
  }
}

async function next(
  sections: AsyncGenerator<{ kind: number; payload: Uint8Array }>,
  wanted: number,
): Promise<Uint8Array> {
  const { value, done } = await sections.next();
  if (done || value.kind !== wanted) throw new Unusable(`section ${wanted} is missing`);
  return value.payload;
}
