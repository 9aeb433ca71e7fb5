/**
 * Group commit: whatever waits is written together, synced once, read back, and only then indexed and answered. While one group is synced
 * the next is written behind it, and while it is read back the next is synced; they are finished in order, and one that fails takes the next
 * with it.
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
import { verifyRecords, verifyWindow } from "./record-verify.ts";
import type { SegmentLog } from "./segment-log.ts";
import { joinAdjacent, WriteArena } from "./write-arena.ts";

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
  /**
   * Called in its turn, with the index as all before it left it. May throw: that fails this operation alone. `arena` is memory for what it
   * writes; anything else that it gives to be written must stay as it is until it is answered.
   */
  plan(place: Place, arena: WriteArena): Planned<T>;
}

/** So much that waits is worth two syncs. */
const splitBytesMin = 4 * 2 ** 20;

interface Waiting {
  operation: LogOperation<unknown>;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}
interface Member extends Waiting {
  planned: Planned<unknown>;
  lengthBytes: number;
}

/** Operations that share a write and a sync. */
interface Group {
  taken: Waiting[];
  names: Set<string>;
  members: Member[];
  place: Place | undefined;
}

export class CommitQueue {
  readonly #pool: Pool;
  readonly #log: SegmentLog;
  readonly #waiting: Waiting[] = [];
  readonly #outside: (() => void)[] = [];
  #queuedBytes = 0;
  #running: Promise<void> | undefined;
  /** The group that is being synced and read back. Its names are not touched meanwhile, since the index does not know of it yet. */
  #finishing: { names: ReadonlySet<string>; synced: Promise<void>; done: Promise<void> } | undefined;
  #window: Uint8Array | undefined;
  readonly #arena = new WriteArena();

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

  /** Resolves when nothing waits and nothing is under way. */
  async idle(): Promise<void> {
    while (this.#running || this.#finishing) await (this.#running ?? this.#finishing?.done);
  }

  async #run(): Promise<void> {
    for (;;) {
      // One turn of the event loop, so that all that is asked for at the same moment shares the sync: a promise's turn is over before those
      // who were answered together have asked again.
      await new Promise((resolve) => setImmediate(resolve));
      if (this.#waiting.length === 0) break;
      const group = this.#takeGroup();
      if (group.taken.length === 0) await this.#finishing?.done;
      else await this.#commit(group);
    }
    this.#running = undefined;
  }

  /** Writes the group; returns when the next may be written, while this one is being finished. */
  async #commit(group: Group): Promise<void> {
    try {
      this.#pool.health.checkWritable();
      await this.#write(group);
    } catch (error) {
      return this.#reject(group, error);
    }
    // Never two syncs at a time: the kernel tells of a write that failed once, and the wrong one might hear it.
    await this.#finishing?.synced.catch(() => {});
    const synced = this.#sync(group);
    synced.catch(() => {}); // heard of in #finish, which may be waited for first
    await this.#finishing?.done;
    const done = this.#finish(group, synced).then(() => {
      if (this.#finishing?.done === done) this.#finishing = undefined;
    });
    this.#finishing = { names: group.names, synced, done };
  }

  #reject(group: Group, error: unknown): void {
    const shown = this.#pool.health.asAppError(error);
    for (const waiting of group.taken) waiting.reject(shown);
    this.#release(group);
  }

  #release({ taken }: Group): void {
    for (const { operation } of taken) this.#queuedBytes -= operation.bytes;
    for (const resume of this.#outside.splice(0)) resume();
  }

  /** As many as may share a sync; none if the first is of a chunk that the group before is about. */
  #takeGroup(): Group {
    const { groupRecordsMax } = this.#pool.limits;
    const groupBytesMax = this.#groupBytes();
    const busy = this.#finishing?.names;
    const names = new Set<string>();
    let bytes = 0;
    let count = 0;
    for (const { operation } of this.#waiting) {
      const room = bytes + operation.bytes <= groupBytesMax && count < groupRecordsMax;
      if (count > 0 && !room) break;
      if (operation.names.some((name) => names.has(name) || busy?.has(name))) break;
      for (const name of operation.names) names.add(name);
      bytes += operation.bytes;
      count++;
    }
    return { taken: this.#waiting.splice(0, count), names, members: [], place: undefined };
  }

  /**
   * How long the next group may be. If much waits while none is being finished, half of it: the other half is then written while the first is
   * synced and read back, and so they go on in turn. Little is not worth two syncs.
   */
  #groupBytes(): number {
    const { groupBytesMax } = this.#pool.limits;
    // With no group under way, all that is queued waits.
    if (this.#finishing || this.#queuedBytes < splitBytesMin) return groupBytesMax;
    return Math.min(groupBytesMax, this.#queuedBytes / 2);
  }

  /** Writes the group; what does not fit into the segment goes back to the head of the queue. */
  async #write(group: Group): Promise<void> {
    const { taken, members } = group;
    const first = await this.#placeFor(taken);
    this.#arena.reset(); // the group before is written
    let offset = first.offset;
    const buffers: Uint8Array[] = [];
    for (const [i, waiting] of taken.entries()) {
      // The place was found for the first, which may turn out to write nothing: none behind it may go where it does not fit.
      if (i > 0 && !this.#log.fits(offset, waiting.operation.bytes)) {
        this.#waiting.unshift(...taken.splice(i));
        break;
      }
      const planned = plan(waiting, { segmentId: first.segmentId, offset }, this.#arena);
      if (!planned) continue;
      const lengthBytes = planned.buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
      members.push({ ...waiting, planned, lengthBytes });
      buffers.push(...planned.buffers);
      offset += lengthBytes;
    }
    if (buffers.length === 0) return;
    try {
      await this.#pool.medium.write(first.segmentId, joinAdjacent(buffers), first.offset);
    } catch (error) {
      await this.#cutOff(first, error);
      throw error;
    }
    group.place = first;
    this.#log.written(offset);
  }

  async #placeFor(taken: Waiting[]): Promise<Place> {
    const bytes = taken[0]?.operation.bytes ?? 0;
    // A segment is closed only when all of it is durable: recovery relies on it.
    if (!this.#log.continues(bytes)) await this.#finishing?.done;
    try {
      this.#pool.health.checkWritable();
      return await this.#log.place(bytes);
    } catch (error) {
      if (!isNoSpace(error) && !(error instanceof AppError))
        this.#pool.health.stopWrites("making a segment failed", error);
      throw error;
    }
  }

  /** Makes the group durable, unless the one before it failed. */
  async #sync({ place }: Group): Promise<void> {
    const { medium, health } = this.#pool;
    if (!place) return;
    health.checkWritable();
    try {
      await medium.sync(place.segmentId);
    } catch (error) {
      health.stopWrites("making a group durable failed", error);
      throw error;
    }
  }

  /** Once the group is durable: reads it back, changes the index and answers. Never throws. */
  async #finish(group: Group, synced: Promise<void>): Promise<void> {
    const { members, place } = group;
    try {
      await synced;
      if (place) await this.#readBack(place, members);
      for (const member of members) settle(member, () => member.planned.apply());
      this.#release(group);
    } catch (error) {
      this.#reject(group, error);
    }
  }

  async #readBack(place: Place, members: readonly Member[]): Promise<void> {
    const { medium, health } = this.#pool;
    // The group before may have failed after this one was written and synced.
    health.checkWritable();
    const lengths = members.map((member) => member.lengthBytes).filter((length) => length > 0);
    try {
      this.#window ??= verifyWindow();
      // Writing goes on in a file whose directory was removed; it must not be answered.
      await Promise.all([
        medium.checkPresent(place.segmentId),
        verifyRecords(this.#pool, place, lengths, this.#window),
      ]);
    } catch (error) {
      health.stopWrites("reading a group back failed", error);
      throw error;
    }
    this.#log.durable(
      place.segmentId,
      lengths.reduce((sum, length) => sum + length, place.offset),
    );
  }

  /** After a failed write: takes off what of it may be there. */
  async #cutOff(from: Place, error: unknown): Promise<void> {
    const { medium, health } = this.#pool;
    if (!isNoSpace(error)) return health.stopWrites("writing a group failed", error);
    await this.#finishing?.done; // never two syncs at a time
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
function plan(waiting: Waiting, place: Place, arena: WriteArena): Planned<unknown> | undefined {
  try {
    return waiting.operation.plan(place, arena);
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
