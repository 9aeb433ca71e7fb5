/**
 * Finds out which segment lies at a place of a raw device. Its first 4 KiB say so; if they are damaged, the records behind them do, the greatest
 * segment id among them, since former tenants of a place have smaller ones.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { claimedHeaderBytes, getUuid, prefixOffset, readPrefix, recordAlignBytes } from "./record-format.ts";
import { segmentHeaderBytes } from "./segment-format.ts";

const scanBytes = 2 ** 20;

export interface ProbedPlace {
  /** Reads `length` bytes of the place. */
  read(offset: number, length: number): Promise<Uint8Array>;
  /** Nothing lies at or beyond. */
  endBytes: number;
}

export class SegmentProbe {
  readonly #poolUuid: string;
  readonly #checksum: Checksum;

  constructor(poolUuid: string, checksum: Checksum) {
    this.#poolUuid = poolUuid;
    this.#checksum = checksum;
  }

  /** The id of the segment, or undefined if there is no valid record of this pool. `header` is the first 4 KiB. */
  async segmentId(place: ProbedPlace, header: Uint8Array): Promise<number | undefined> {
    return this.#idOf(header) ?? (await this.#idFromRecords(place));
  }

  #idOf(bytes: Uint8Array): number | undefined {
    if (getUuid(bytes, prefixOffset.poolUuid) !== this.#poolUuid) return undefined;
    try {
      return readPrefix(bytes, this.#checksum).segmentId;
    } catch (error) {
      if (error instanceof AppError && error.code === "ChunkCorrupt") return undefined;
      throw error;
    }
  }

  async #idFromRecords({ read, endBytes }: ProbedPlace): Promise<number | undefined> {
    let newest: number | undefined;
    for (let at = segmentHeaderBytes; at < endBytes; at += scanBytes) {
      const bytes = await read(at, Math.min(scanBytes, endBytes - at));
      for (let block = 0; block < bytes.byteLength; block += recordAlignBytes) {
        const rest = bytes.subarray(block);
        // A header longer than what is left of the window is of a chunk over 3.6 MiB; any other record of the segment will do.
        if (claimedHeaderBytes(rest) === 0 || claimedHeaderBytes(rest) > rest.byteLength) continue;
        newest = Math.max(newest ?? 0, this.#idOf(rest) ?? 0) || undefined;
      }
    }
    return newest;
  }
}
