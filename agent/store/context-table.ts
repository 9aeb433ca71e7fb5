/**
 * What many chunks share, kept once: the volume, and the pair of epochs. A chunk's entry in the index then needs one u32 for all three.
 * Contexts are counted and their numbers used again when the last chunk is gone; volumes stay (a pool sees thousands of them, not millions).
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";

export const contextsMax = 4_194_304;
export const volumesMax = 1_048_576;

export interface Context {
  volume: number;
  encodeEpoch: number;
  putEpoch: number;
}

export class ContextTable {
  readonly #volumeIds = new Map<string, number>();
  readonly #volumeUuids: string[] = [];
  readonly #ids = new Map<string, number>();
  readonly #contexts: Context[] = [];
  readonly #refs: number[] = [];
  #free: number[] = [];
  /** The one acquired last: chunks that come together share it. */
  #last = 0;
  /** Numbers that are free but must not be used yet: a snapshot under way may still name them. */
  #quarantine: number[] | undefined;

  /** The number of a volume, or undefined if no chunk of it was ever here. */
  findVolume(volumeUuid: string): number | undefined {
    return this.#volumeIds.get(volumeUuid);
  }

  volumeUuid(volume: number): string {
    return this.#volumeUuids[volume] ?? "";
  }

  context(id: number): Context {
    const context = this.#contexts[id];
    if (!context) throw new Error(`no context ${id}`);
    return context;
  }

  /** Throws `TooLarge` unless a context can be had with `margin` to spare. */
  checkRoom(volumeUuid: string, encodeEpoch: number, putEpoch: number, margin: number): void {
    const volume = this.#volumeIds.get(volumeUuid);
    if (volume === undefined && this.#volumeUuids.length >= volumesMax - margin) throw tooMany("volumes", volumesMax);
    if (this.#ids.size < contextsMax - margin || this.#ids.has(`${volume}:${encodeEpoch}:${putEpoch}`)) return;
    throw tooMany("volume and epoch pairs", contextsMax);
  }

  /** The context's number with one more reference; makes it if needed. Throws `TooLarge` at the limits. */
  acquire(volumeUuid: string, encodeEpoch: number, putEpoch: number): number {
    const volume = this.#internVolume(volumeUuid);
    const last = this.#contexts[this.#last];
    const again = last?.volume === volume && last.encodeEpoch === encodeEpoch && last.putEpoch === putEpoch;
    if (again && (this.#refs[this.#last] ?? 0) > 0) {
      this.#refs[this.#last] = (this.#refs[this.#last] ?? 0) + 1;
      return this.#last;
    }
    const key = `${volume}:${encodeEpoch}:${putEpoch}`;
    const known = this.#ids.get(key);
    if (known !== undefined) {
      this.#last = known;
      this.#refs[known] = (this.#refs[known] ?? 0) + 1;
      return known;
    }
    if (this.#ids.size >= contextsMax) throw tooMany("volume and epoch pairs", contextsMax);
    const id = this.#free.pop() ?? this.#contexts.length;
    this.#contexts[id] = { volume, encodeEpoch, putEpoch };
    this.#refs[id] = 1;
    this.#ids.set(key, id);
    return id;
  }

  release(id: number): void {
    const refs = (this.#refs[id] ?? 0) - 1;
    this.#refs[id] = refs;
    if (refs > 0) return;
    const { volume, encodeEpoch, putEpoch } = this.context(id);
    this.#ids.delete(`${volume}:${encodeEpoch}:${putEpoch}`);
    (this.#quarantine ?? this.#free).push(id);
  }

  /** Until `thaw`, no number that is free, or becomes so, is given to another context. */
  freeze(): void {
    this.#quarantine ??= this.#free.splice(0);
  }

  thaw(): void {
    if (this.#quarantine) this.#free = this.#free.concat(this.#quarantine);
    this.#quarantine = undefined;
  }

  /** All volumes and contexts by number, for a snapshot. */
  dump(): { volumes: readonly string[]; contexts: readonly Context[] } {
    return { volumes: this.#volumeUuids, contexts: this.#contexts };
  }

  #internVolume(volumeUuid: string): number {
    const known = this.#volumeIds.get(volumeUuid);
    if (known !== undefined) return known;
    if (this.#volumeUuids.length >= volumesMax) throw tooMany("volumes", volumesMax);
    const id = this.#volumeUuids.push(volumeUuid) - 1;
    this.#volumeIds.set(volumeUuid, id);
    return id;
  }
}

function tooMany(what: string, max: number): AppError {
  return new AppError("TooLarge", `pool index: more than ${max} ${what} in one pool; put chunks to another pool`);
}
