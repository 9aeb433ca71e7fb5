/** Open files, at most so many at a time: a pool has more segments than a process may have open files. */
import type { FileHandle } from "@couchestor/common/runtime/file-system.ts";

export const openFilesMax = 256;

interface Entry {
  opening: Promise<FileHandle>;
  users: number;
  /** Close it when the last user is done. */
  dropped: boolean;
}

export class HandleCache {
  readonly #open: (key: number) => Promise<FileHandle>;
  readonly #entries = new Map<number, Entry>();

  constructor(open: (key: number) => Promise<FileHandle>) {
    this.#open = open;
  }

  /** Runs `run` with the open file; it stays open at least until `run` is done. */
  async use<T>(key: number, run: (file: FileHandle) => Promise<T>): Promise<T> {
    let entry = this.#entries.get(key);
    if (!entry) {
      await this.#makeRoom();
      entry = this.#entries.get(key) ?? { opening: this.#open(key), users: 0, dropped: false };
    }
    // Put last, so that the map's order is that of use.
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    entry.users++;
    try {
      return await run(await entry.opening);
    } catch (error) {
      // A file that could not be opened is not kept as such.
      const opened = await entry.opening.then(
        () => true,
        () => false,
      );
      if (!opened && this.#entries.get(key) === entry) this.#entries.delete(key);
      throw error;
    } finally {
      entry.users--;
      if (entry.dropped && entry.users === 0) await close(entry);
    }
  }

  /** Keeps a file that was just made. */
  adopt(key: number, file: FileHandle): void {
    this.#entries.set(key, { opening: Promise.resolve(file), users: 0, dropped: false });
  }

  /** Closes a file, once nobody uses it. */
  async drop(key: number): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    this.#entries.delete(key);
    entry.dropped = true;
    if (entry.users === 0) await close(entry);
  }

  async closeAll(): Promise<void> {
    for (const key of [...this.#entries.keys()]) await this.drop(key);
  }

  async #makeRoom(): Promise<void> {
    if (this.#entries.size < openFilesMax) return;
    for (const [key, entry] of this.#entries) {
      if (entry.users === 0) return this.drop(key);
    }
  }
}

async function close(entry: Entry): Promise<void> {
  const file = await entry.opening.catch(() => undefined);
  await file?.close();
}
