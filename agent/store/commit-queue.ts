/**
 * Group commit: whatever waits is written together, synced once, read back, and only then indexed and answered.
 *
 * Crash points of the write path, each with its outcome (tested one by one in `crash.test.ts`):
 *   C1 before the write                       nothing happened
 *   C2 in the midst of the write              torn records at the segment's end, never answered: found damaged, or not found
 *   C3 written, not synced                    any part may be there; whole records are indexed again as recovered, none was answered
 *   C4 synced, not read back or answered      all is there; the caller asks again and finds it done
 *   C5 new segment made, name not durable     the segment is there or not; nothing was written to it
 *   C6 new segment's name durable, empty      an empty segment; the next start goes on behind it
 *
 * A group fails as a whole. If the medium has no space, the torn end is cut off and synced before anything else is written; if that fails, or
 * on any other error, nothing is written until the pool is opened again: a record that was not answered must not show up behind later ones.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Pool } from "./pool.ts";
import { isNoSpace } from "./pool-health.ts";
import type { Place } from "./pool-map.ts";
import { verifyRecords } from "./record-verify.ts";
import type { SegmentLog } from "./segment-log.ts";

export interface Planned<T> {
  /** What to write at the place given; empty if there is nothing to write after all. */
  buffers: readonly Uint8Array[];
  /** Changes the index; called when the buffers are durable. */
  apply(): T;
}

export interface LogOperation<T> {
  /** The most that it may write. */
  bytes: number;
  /** Chunks that it puts or deletes, as text: two operations on one chunk never share a group. */
  names: readonly string[];
  /** Called in its turn, with the index as all before it left it. May throw: that fails this operation alone. */
  plan(place: Place): Planned<T>;
}

interface Waiting {
  operation: LogOperation<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}
interface Member extends Waiting {
  planned: Planned<unknown>;
}

export class CommitQueue {
  readonly #pool: Pool;
  readonly #log: SegmentLog;
  readonly #waiting: Waiting[] = [];
  readonly #outside: (() => void)[] = [];
  #queuedBytes = 0;
  #running: Promise<void> | undefined;

  constructor(pool: Pool, log: SegmentLog) {
    this.#pool = pool;
    this.#log = log;
  }

  /** Bytes that wait to be written. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** Runs the operation in its turn; resolves when it is durable. */
  async submit<T>(operation: LogOperation<T>): Promise<T> {
    while (this.#queuedBytes > 0 && this.#queuedBytes + operation.bytes > this.#pool.limits.queuedBytesMax)
      await new Promise<void>((resolve) => this.#outside.push(resolve));
    this.#queuedBytes += operation.bytes;
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ operation, resolve: resolve as (value: unknown) => void, reject });
      this.#running ??= this.#run();
    });
  }

  /** Resolves when nothing waits. */
  async idle(): Promise<void> {
    while (this.#running) await this.#running;
  }

  async #run(): Promise<void> {
    // One turn, so that what was asked for at the same moment shares the sync.
    await Promise.resolve();
    while (this.#waiting.length > 0) await this.#commit();
    this.#running = undefined;
  }

  async #commit(): Promise<void> {
    const taken = this.#takeGroup();
    const members: Member[] = [];
    try {
      this.#pool.health.checkWritable();
      await this.#write(taken, members);
      for (const member of members) settle(member, () => member.planned.apply());
    } catch (error) {
      const shown = this.#pool.health.asAppError(error);
      for (const waiting of taken) waiting.reject(shown);
    } finally {
      for (const { operation } of taken) this.#queuedBytes -= operation.bytes;
      for (const resume of this.#outside.splice(0)) resume();
    }
  }

  /** As many as may share a sync, at least one. */
  #takeGroup(): Waiting[] {
    const { groupBytesMax, groupRecordsMax } = this.#pool.limits;
    const names = new Set<string>();
    let bytes = 0;
    let count = 0;
    for (const { operation } of this.#waiting) {
      const room = bytes + operation.bytes <= groupBytesMax && count < groupRecordsMax;
      if (count > 0 && (!room || operation.names.some((name) => names.has(name)))) break;
      for (const name of operation.names) names.add(name);
      bytes += operation.bytes;
      count++;
    }
    return this.#waiting.splice(0, count);
  }

  /** Writes and syncs the group; what does not fit into the segment goes back to the head of the queue. Fills `members`. */
  async #write(taken: Waiting[], members: Member[]): Promise<void> {
    const { medium, health } = this.#pool;
    const first = await this.#placeFor(taken);
    let offset = first.offset;
    const buffers: Uint8Array[] = [];
    for (const [i, waiting] of taken.entries()) {
      if (offset !== first.offset && !this.#log.fits(offset, waiting.operation.bytes)) {
        this.#waiting.unshift(...taken.splice(i));
        break;
      }
      const planned = plan(waiting, { segmentId: first.segmentId, offset });
      if (!planned) continue;
      members.push({ ...waiting, planned });
      for (const buffer of planned.buffers) {
        buffers.push(buffer);
        offset += buffer.byteLength;
      }
    }
    if (buffers.length === 0) return;
    try {
      await medium.write(first.segmentId, buffers, first.offset);
    } catch (error) {
      await this.#cutOff(first, error);
      throw error;
    }
    try {
      await medium.sync(first.segmentId);
      // Writing goes on in a file whose directory was removed; it must not be answered.
      await medium.checkPresent(first.segmentId);
      await verifyRecords(this.#pool, first, offset);
    } catch (error) {
      health.stopWrites("making a group durable failed", error);
      throw error;
    }
    this.#log.advance(offset);
  }

  async #placeFor(taken: Waiting[]): Promise<Place> {
    const bytes = taken[0]?.operation.bytes ?? 0;
    try {
      return await this.#log.place(bytes);
    } catch (error) {
      if (!isNoSpace(error) && !(error instanceof AppError))
        this.#pool.health.stopWrites("making a segment failed", error);
      throw error;
    }
  }

  /** After a failed write: takes off what of it may be there. */
  async #cutOff(from: Place, error: unknown): Promise<void> {
    const { medium, health } = this.#pool;
    if (!isNoSpace(error)) return health.stopWrites("writing a group failed", error);
    try {
      await medium.truncate(from.segmentId, from.offset);
      await medium.sync(from.segmentId);
      health.setFull("the medium has no space left");
    } catch (second) {
      health.stopWrites("cutting off a group that found no space failed", second);
    }
  }
}

/** A plan that throws fails its own operation only. */
function plan(waiting: Waiting, place: Place): Planned<unknown> | undefined {
  try {
    return waiting.operation.plan(place);
  } catch (error) {
    waiting.reject(error);
    return undefined;
  }
}

function settle(member: Member, apply: () => unknown): void {
  try {
    member.resolve(apply());
  } catch (error) {
    member.reject(error);
  }
}
