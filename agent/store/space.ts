/** How much a pool may still take. PUT leaves a reserve, so that a full pool can still delete and compact. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Pool } from "./pool.ts";
import type { SegmentLog } from "./segment-log.ts";

export interface SpaceFigures {
  capacityBytes: number;
  /** Segments on the medium, garbage included. */
  usedBytes: number;
  /** What PUT may still take. */
  freeBytes: number;
}

/** Pure: what a PUT may take of the space that the medium reports. */
export function spaceFigures(options: {
  totalBytes: number;
  freeBytes: number;
  usedBytes: number;
  reserveBytes: number | undefined;
  capacityBytesMax: number | undefined;
  segmentBytes: number;
}): SpaceFigures {
  const { totalBytes, usedBytes, segmentBytes } = options;
  const capacityBytes = Math.min(totalBytes, options.capacityBytesMax ?? totalBytes);
  const reserveBytes = options.reserveBytes ?? Math.min(2 * segmentBytes, Math.floor(capacityBytes / 8));
  const room = Math.min(options.freeBytes, Math.max(0, capacityBytes - usedBytes));
  return { capacityBytes, usedBytes, freeBytes: Math.max(0, room - reserveBytes) };
}

/** How old a reading of the medium's space may be, and how many bytes may have been written since. */
const readingAgeMsMax = 250;
const readingBytesMax = 16 * 2 ** 20;
const plentyBytes = 2 ** 30;

export class SpaceGuard {
  readonly #pool: Pool;
  readonly #log: SegmentLog;
  #figures: SpaceFigures = { capacityBytes: 0, usedBytes: 0, freeBytes: 0 };
  #readAtMs = Number.NEGATIVE_INFINITY;
  /** Admitted since the reading. */
  #sinceBytes = 0;
  #refreshing: Promise<void> | undefined;
  // A reading that fails is tried again; a medium that is gone fails the write itself.
  readonly #refreshed = (): void => {
    this.#refreshing = undefined;
  };

  constructor(pool: Pool, log: SegmentLog) {
    this.#pool = pool;
    this.#log = log;
  }

  /** The last reading. */
  get figures(): SpaceFigures {
    return { ...this.#figures, freeBytes: Math.max(0, this.#figures.freeBytes - this.#sinceBytes) };
  }

  /** Reads the medium's space anew; a pool that was full and has room again is Online. */
  async refresh(): Promise<SpaceFigures> {
    const { medium, limits, map, health } = this.#pool;
    const { totalBytes, freeBytes } = await medium.space();
    // A block medium counts whole free slots; the slot that is being filled has room too.
    const activeRoom = medium.kind === "directory" ? 0 : this.#log.roomBytes;
    let usedBytes = 0;
    for (const account of map.segments.values())
      usedBytes += medium.kind === "directory" ? account.sizeBytes : medium.segmentBytes;
    this.#figures = spaceFigures({
      totalBytes,
      freeBytes: freeBytes + activeRoom,
      usedBytes: usedBytes - activeRoom,
      reserveBytes: limits.reserveBytes,
      capacityBytesMax: limits.capacityBytesMax,
      segmentBytes: medium.segmentBytes,
    });
    this.#readAtMs = this.#pool.clock.monotonicMs();
    this.#sinceBytes = 0;
    if (health.state === "Full" && this.#figures.freeBytes > 0) health.setFull(undefined);
    return this.#figures;
  }

  /** Lets a PUT of so many bytes through, or throws `NoSpace`. */
  async admit(bytes: number): Promise<void> {
    const { clock, health } = this.#pool;
    const old = clock.monotonicMs() - this.#readAtMs > readingAgeMsMax || this.#sinceBytes > readingBytesMax;
    // With plenty left, a new reading need not be waited for.
    if (health.state === "Full" || this.figures.freeBytes < bytes + plentyBytes) await this.refresh();
    else if (old) this.#refreshing ??= this.refresh().then(this.#refreshed, this.#refreshed);
    if (this.#figures.freeBytes - this.#sinceBytes < bytes) {
      const { capacityBytes, usedBytes, freeBytes } = this.#figures;
      health.setFull(`${freeBytes} bytes are free for chunks of ${capacityBytes}, ${usedBytes} are used`);
      throw new AppError(
        "NoSpace",
        `pool ${this.#pool.name} is full: a record of ${bytes} bytes does not fit into the ${freeBytes} bytes free for chunks; delete chunks or add pools`,
        { data: { pool: this.#pool.name, neededBytes: bytes, freeBytes } },
      );
    }
    this.#sinceBytes += bytes;
  }
}
