/**
 * Which chunks a pool holds and where, in memory: 36 bytes a chunk in pages of typed arrays, and 5 to 6.3 bytes in the hash slots.
 * It holds the exact full name, so that no lookup of a name reads the disk. Several copies with the same key (put by different acts) may be there.
 *
 * Row, nine u32: context, stripe low, stripe high | shard << 21 | flags << 27, generation, encode act, put act, segment, place, table CRC.
 * place = offset in 4 KiB units (18 bits: segments up to 1 GiB) | (blocks − 1) << 18 (14 bits: chunks up to 64 MiB).
 */
import type { ChunkKey, ChunkName } from "@couchestor/common/api/chunks.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { ContextTable } from "./context-table.ts";
import { HashSlots } from "./hash-slots.ts";

export const rowWords = 9;
export const rowsPerPage = 4096;
/** A row's number is its page's, then its place in the page in so many bits. */
const rowBits = 12;
const rowMask = rowsPerPage - 1;
/** The most chunks of one pool: 400 million take 17 GB of memory. */
export const chunksMax = 400_000_000;
export const segmentBytesMax = 2 ** 30;
const freeContext = 0xffff_ffff;
const unitBytes = 4096;

/** More writes than one group may hold. */
const roomMargin = 65_536;

/** Found by a scan after an unclean stop: it may never have been acknowledged, nor be durable but for the sync at opening. */
export const flagRecovered = 1;

export interface ChunkPlace {
  segmentId: number;
  /** Where the record begins, in bytes. */
  offset: number;
  blockCount: number;
  /** CRC32C of the chunk's CRC table. */
  tableCrc: number;
  flags: number;
}

export class ChunkIndex {
  readonly contexts = new ContextTable();
  readonly #pages: Uint32Array[] = [];
  readonly #slots = new HashSlots((row) => this.#hashOfRow(row));
  #rows = 0;
  #free: number[] = [];
  #count = 0;

  /** How many chunks are indexed. */
  get count(): number {
    return this.#count;
  }

  /** Memory of rows and hash slots, in bytes. */
  get memoryBytes(): number {
    return this.#pages.length * rowsPerPage * rowWords * 4 + this.#slots.memoryBytes + this.#free.length * 8;
  }

  /** The row of exactly this copy, or -1. */
  findName(name: ChunkName): number {
    const volume = this.contexts.findVolume(name.volumeUuid);
    if (volume === undefined) return -1;
    return this.#slots.find(hashKey(volume, name), (row) => {
      if (!this.#isKey(row, volume, name) || this.#word(row, 5) !== name.putAct) return false;
      return this.contexts.context(this.#word(row, 0)).putEpoch === name.putEpoch;
    });
  }

  /** The rows of all copies with this key. */
  findKey(key: ChunkKey): number[] {
    const rows: number[] = [];
    const volume = this.contexts.findVolume(key.volumeUuid);
    if (volume === undefined) return rows;
    this.#slots.find(hashKey(volume, key), (row) => {
      if (this.#isKey(row, volume, key)) rows.push(row);
      return false;
    });
    return rows;
  }

  /** Throws `TooLarge` if `name` might not find room once the writes under way are in; to be asked before anything is written. */
  checkRoom(name: ChunkName): void {
    if (this.#count >= chunksMax - roomMargin) throw tooManyChunks();
    this.contexts.checkRoom(name.volumeUuid, name.encodeEpoch, name.putEpoch, roomMargin);
  }

  /** Adds a chunk that is not there. Returns its row. */
  add(name: ChunkName, place: ChunkPlace): number {
    if (this.#count >= chunksMax)
      throw new AppError(
        "TooLarge",
        `pool index: a pool holds at most ${chunksMax} chunks; put chunks to another pool`,
      );
    const context = this.contexts.acquire(name.volumeUuid, name.encodeEpoch, name.putEpoch);
    const row = this.#newRow();
    const { page, at } = this.#at(row);
    page[at] = context;
    page[at + 1] = name.stripe;
    page[at + 2] = Math.floor(name.stripe / 2 ** 32) | (name.shardIndex << 21) | (place.flags << 27);
    page[at + 3] = name.generation;
    page[at + 4] = name.encodeAct;
    page[at + 5] = name.putAct;
    this.#setPlace(page, at, place);
    this.#slots.add(this.#hashOfRow(row), row);
    this.#count++;
    return row;
  }

  /** Changes where a chunk lies. */
  move(row: number, place: ChunkPlace): void {
    const { page, at } = this.#at(row);
    page[at + 2] = ((page[at + 2] ?? 0) & 0x07ff_ffff) | (place.flags << 27);
    this.#setPlace(page, at, place);
  }

  remove(row: number): void {
    this.#slots.remove(this.#hashOfRow(row), row);
    const { page, at } = this.#at(row);
    this.contexts.release(page[at] ?? 0);
    page[at] = freeContext;
    this.#free.push(row);
    this.#count--;
  }

  nameAt(row: number): ChunkName {
    const { page, at } = this.#at(row);
    return decodeRowName(page, at, this.contexts);
  }

  placeAt(row: number): ChunkPlace {
    const { page, at } = this.#at(row);
    return decodeRowPlace(page, at);
  }

  /** The rows as pages of words, for a snapshot; free rows among them. The last page may be partly unused. */
  *pages(): Generator<Uint32Array> {
    for (const [i, page] of this.#pages.entries()) {
      const rows = Math.min(rowsPerPage, this.#rows - i * rowsPerPage);
      if (rows > 0) yield page.subarray(0, rows * rowWords);
    }
  }

  /** All rows in use. Rows may be removed or moved meanwhile. */
  *rows(): Generator<number> {
    for (let row = 0; row < this.#rows; row++) {
      if (this.#word(row, 0) !== freeContext) yield row;
    }
  }

  #newRow(): number {
    const row = this.#free.pop() ?? this.#rows++;
    if (row >= this.#pages.length * rowsPerPage) this.#pages.push(new Uint32Array(rowsPerPage * rowWords));
    return row;
  }

  #setPlace(page: Uint32Array, at: number, place: ChunkPlace): void {
    if (place.offset >= segmentBytesMax || place.segmentId > 0xffff_ffff)
      throw new Error(`chunk place out of range: segment ${place.segmentId}, offset ${place.offset}`);
    page[at + 6] = place.segmentId;
    page[at + 7] = (place.offset / unitBytes) | ((place.blockCount - 1) << 18);
    page[at + 8] = place.tableCrc;
  }

  #at(row: number): { page: Uint32Array; at: number } {
    const page = this.#pages[row >>> rowBits];
    if (!page) throw new Error(`no row ${row}`);
    return { page, at: (row & rowMask) * rowWords };
  }

  #word(row: number, word: number): number {
    return this.#pages[row >>> rowBits]?.[(row & rowMask) * rowWords + word] ?? 0;
  }

  #isKey(row: number, volume: number, key: ChunkKey): boolean {
    if (this.#word(row, 1) !== key.stripe % 2 ** 32 || this.#word(row, 3) !== key.generation) return false;
    const high = Math.floor(key.stripe / 2 ** 32) | (key.shardIndex << 21);
    if ((this.#word(row, 2) & 0x07ff_ffff) !== high || this.#word(row, 4) !== key.encodeAct) return false;
    const context = this.contexts.context(this.#word(row, 0));
    return context.volume === volume && context.encodeEpoch === key.encodeEpoch;
  }

  #hashOfRow(row: number): number {
    const { page, at } = this.#at(row);
    const context = this.contexts.context(page[at] ?? 0);
    const high = (page[at + 2] ?? 0) & 0x07ff_ffff;
    return mix(context.volume, context.encodeEpoch, page[at + 1] ?? 0, high, page[at + 3] ?? 0, page[at + 4] ?? 0);
  }
}

function tooManyChunks(): AppError {
  return new AppError("TooLarge", `pool index: a pool holds at most ${chunksMax} chunks; put chunks to another pool`);
}

/** Whether the row at `at` holds a chunk. */
export function rowInUse(page: Uint32Array, at: number): boolean {
  return page[at] !== freeContext;
}

/** The name in a row, given what its context number means. */
export function decodeRowName(
  page: Uint32Array,
  at: number,
  contexts: Pick<ContextTable, "context" | "volumeUuid">,
): ChunkName {
  const context = contexts.context(page[at] ?? 0);
  const high = page[at + 2] ?? 0;
  return {
    volumeUuid: contexts.volumeUuid(context.volume),
    stripe: (high & 0x1f_ffff) * 2 ** 32 + (page[at + 1] ?? 0),
    shardIndex: (high >>> 21) & 0x3f,
    generation: page[at + 3] ?? 0,
    encodeEpoch: context.encodeEpoch,
    encodeAct: page[at + 4] ?? 0,
    putEpoch: context.putEpoch,
    putAct: page[at + 5] ?? 0,
  };
}

/** The place in a row. */
export function decodeRowPlace(page: Uint32Array, at: number): ChunkPlace {
  const place = page[at + 7] ?? 0;
  return {
    segmentId: page[at + 6] ?? 0,
    offset: (place & 0x3_ffff) * unitBytes,
    blockCount: (place >>> 18) + 1,
    tableCrc: page[at + 8] ?? 0,
    flags: (page[at + 2] ?? 0) >>> 27,
  };
}

function hashKey(volume: number, key: ChunkKey): number {
  const high = Math.floor(key.stripe / 2 ** 32) | (key.shardIndex << 21);
  return mix(volume, key.encodeEpoch, key.stripe >>> 0, high, key.generation, key.encodeAct);
}

/** A u32 from all parts of a key (multiply and rotate, as in MurmurHash3). */
function mix(volume: number, epoch: number, low: number, high: number, generation: number, act: number): number {
  let h = round(0x9747_b28c, volume);
  h = round(h, Math.floor(epoch / 2 ** 32));
  h = round(h, epoch >>> 0);
  h = round(h, low);
  h = round(h, high);
  h = round(h, generation);
  h = round(h, act);
  h = Math.imul(h ^ (h >>> 16), 0x85eb_ca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2_ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function round(hash: number, word: number): number {
  let k = Math.imul(word, 0xcc9e_2d51);
  k = Math.imul((k << 15) | (k >>> 17), 0x1b87_3593);
  const h = hash ^ k;
  return (Math.imul((h << 13) | (h >>> 19), 5) + 0xe654_6b64) | 0;
}
