/** The end of the log: which segment takes the next record, and where. A segment is closed only when all of it is durable. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Pool } from "./pool.ts";
import { isNoSpace } from "./pool-health.ts";
import { encodeSegmentHeader, segmentHeaderBytes } from "./segment-format.ts";

export class SegmentLog {
  readonly #pool: Pool;
  #active: { segmentId: number; offset: number } | undefined;
  #lastSegmentId: number;

  constructor(pool: Pool, appendAt: { segmentId: number; offset: number } | undefined, lastSegmentId: number) {
    this.#pool = pool;
    this.#active = appendAt;
    this.#lastSegmentId = lastSegmentId;
  }

  /** The segment that is being written, if one is. */
  get activeSegmentId(): number | undefined {
    return this.#active?.segmentId;
  }

  /** Whether a record of `bytes` at `offset` stays within the segment. A record that no segment has room for gets one of its own. */
  fits(offset: number, bytes: number): boolean {
    return offset + bytes <= this.#pool.medium.segmentBytes || offset === segmentHeaderBytes;
  }

  /** Space left in the segment that is being written. */
  get roomBytes(): number {
    return this.#active ? Math.max(0, this.#pool.medium.segmentBytes - this.#active.offset) : 0;
  }

  /** The place for a record of `bytes`; begins a new segment if needed. Only one caller at a time. */
  async place(bytes: number): Promise<{ segmentId: number; offset: number }> {
    if (this.#active && this.continues(bytes)) return this.#active;
    const { medium, map, clock, checksum } = this.#pool;
    const segmentId = this.#lastSegmentId + 1;
    if (segmentId > 0xffff_ffff) throw new AppError("NoSpace", `pool ${this.#pool.name}: segment numbers are used up`);
    // Never tried again, whatever happens: its name may be there already.
    this.#lastSegmentId = segmentId;
    const header = encodeSegmentHeader(
      { poolUuid: medium.superblock.poolUuid, segmentId, createdMs: clock.wallMs(), targetBytes: medium.segmentBytes },
      checksum,
    );
    try {
      await medium.create(segmentId, header);
    } catch (error) {
      // Nothing was written to it. If it cannot be removed either, it stays as an empty segment.
      if (isNoSpace(error)) await medium.remove(segmentId).catch(() => {});
      throw error;
    }
    map.addSegment(segmentId, segmentHeaderBytes);
    this.#active = { segmentId, offset: segmentHeaderBytes };
    return this.#active;
  }

  /** The active segment is written up to `offset`; whether that is durable is not known yet. */
  written(offset: number): void {
    if (!this.#active) throw new Error("no active segment");
    this.#active = { ...this.#active, offset };
  }

  /** All of a segment up to `offset` is durable. */
  durable(segmentId: number, offset: number): void {
    const account = this.#pool.map.segments.get(segmentId);
    if (account) account.sizeBytes = offset;
  }

  /** Whether a record of `bytes` goes into the segment that is being written. */
  continues(bytes: number): boolean {
    return this.#active !== undefined && this.fits(this.#active.offset, bytes);
  }
}
