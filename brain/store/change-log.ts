/**
 * The newest changes of a store, in memory, for its watchers. A store opened by one process has all its writers and watchers there, so
 * changes need not outlive it: a watcher of an earlier run gets `Conflict` and lists again, as it must anyway after a compaction.
 * Watchers keep a cursor and no queue; one that is too slow falls off the end and lists again, and memory stays bounded.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Row } from "./object-rules.ts";

export interface Change {
  type: "added" | "modified" | "deleted";
  kind: string;
  row: Row;
}

export interface ChangeLogLimits {
  changesMax: number;
  bytesMax: number;
}

export const changeLogLimits: ChangeLogLimits = { changesMax: 32_768, bytesMax: 32 * 1024 * 1024 };

export class ChangeLog {
  readonly #limits: ChangeLogLimits;
  readonly #changes = new Map<number, Change>();
  readonly #waiters = new Set<() => void>();
  #oldest: number;
  #head: number;
  #bytes = 0;
  #ended: AppError | undefined;

  /** `head` is the store's revision now; the first change is `head + 1`, and no revision is left out. */
  constructor(head: number, limits: ChangeLogLimits = changeLogLimits) {
    this.#head = head;
    this.#oldest = head + 1;
    this.#limits = limits;
  }

  /** Takes committed changes, in order of revision without a gap, and wakes the watchers. */
  push(changes: readonly Change[]): void {
    for (const change of changes) {
      if (change.row.revision !== this.#head + 1) throw new Error(`change ${change.row.revision} after ${this.#head}`);
      this.#head = change.row.revision;
      this.#changes.set(this.#head, change);
      this.#bytes += sizeOf(change);
    }
    while (this.#changes.size > this.#limits.changesMax || this.#bytes > this.#limits.bytesMax) this.#dropOldest();
    if (changes.length > 0) this.#wake();
  }

  /** The change behind `revision`, undefined if it has not happened yet. Throws `Conflict` when it is no longer kept. */
  next(revision: number): Change | undefined {
    if (this.#ended) throw this.#ended;
    if (revision === this.#head) return undefined;
    const change = this.#changes.get(revision + 1);
    if (change) return change;
    const why = revision > this.#head ? "is ahead of the store" : "is no longer kept";
    throw new AppError("Conflict", `revision ${revision} ${why}: list again and watch from the list's revision`, {
      data: { revision, oldestKept: this.#oldest - 1, head: this.#head },
    });
  }

  /** Resolves at the next change, at the end of the log, or when `signal` aborts. */
  wait(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = () => {
        this.#waiters.delete(wake);
        signal.removeEventListener("abort", wake);
        resolve();
      };
      if (signal.aborted || this.#ended) return resolve();
      this.#waiters.add(wake);
      signal.addEventListener("abort", wake, { once: true });
    });
  }

  /** Ends every watch with `error`. */
  end(error: AppError): void {
    this.#ended ??= error;
    this.#wake();
  }

  #wake(): void {
    for (const wake of [...this.#waiters]) wake();
  }

  #dropOldest(): void {
    const change = this.#changes.get(this.#oldest);
    if (change) this.#bytes -= sizeOf(change);
    this.#changes.delete(this.#oldest++);
  }
}

function sizeOf({ row }: Change): number {
  return 256 + 2 * (row.metadata.length + row.spec.length + (row.status?.length ?? 0));
}
