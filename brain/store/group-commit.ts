/**
 * Group commit: writes that arrive within one turn of the event loop share one transaction and one fsync. Each is acknowledged only behind
 * the sync; each fails for itself when it loses its compare-and-swap; all fail together when the transaction does.
 * A group is bounded in writes and bytes, so that the event loop is not held for long; between groups other work gets its turn.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";

export interface Transactions {
  begin(): void;
  /** Durable on return. */
  commit(): void;
  rollback(): void;
  /** The error that all writes of a failed group get. */
  failed(error: unknown): AppError;
}

export interface GroupLimits {
  groupWritesMax: number;
  groupBytesMax: number;
  waitingWritesMax: number;
  waitingBytesMax: number;
}

export const groupLimits: GroupLimits = {
  groupWritesMax: 128,
  groupBytesMax: 2 * 1024 * 1024,
  waitingWritesMax: 65_536,
  waitingBytesMax: 256 * 1024 * 1024,
};

interface Write {
  bytes: number;
  /** Runs inside the transaction. May throw an `AppError`, but only before it has changed anything. */
  apply(): unknown;
  resolve(value: unknown): void;
  reject(error: unknown): void;
}

export class GroupCommit {
  readonly #transactions: Transactions;
  readonly #limits: GroupLimits;
  #waiting: Write[] = [];
  #waitingBytes = 0;
  #scheduled = false;

  constructor(transactions: Transactions, limits: GroupLimits = groupLimits) {
    this.#transactions = transactions;
    this.#limits = limits;
  }

  /** Runs `apply` in the next group; resolves to what it returned once that is durable. `bytes` is about what it writes. */
  submit<T>(bytes: number, apply: () => T): Promise<T> {
    if (this.#waiting.length >= this.#limits.waitingWritesMax || this.#waitingBytes > this.#limits.waitingBytesMax) {
      const data = { waitingWrites: this.#waiting.length, waitingBytes: this.#waitingBytes };
      return Promise.reject(
        new AppError("Unavailable", "too many writes wait for the resource store; try again", { data }),
      );
    }
    return new Promise<T>((resolve, reject) => {
      this.#waiting.push({ bytes, apply, resolve: resolve as (value: unknown) => void, reject });
      this.#waitingBytes += bytes;
      this.#schedule();
    });
  }

  /** Runs all that waits, now. */
  drain(): void {
    while (this.#waiting.length > 0) this.#runGroup();
  }

  #schedule(): void {
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => {
      this.#scheduled = false;
      if (this.#waiting.length > 0) this.#runGroup();
      if (this.#waiting.length > 0) this.#schedule();
    });
  }

  #takeGroup(): Write[] {
    let count = 0;
    let bytes = 0;
    while (count < this.#waiting.length && count < this.#limits.groupWritesMax && bytes < this.#limits.groupBytesMax) {
      bytes += this.#waiting[count++]?.bytes ?? 0;
    }
    this.#waitingBytes -= bytes;
    return this.#waiting.splice(0, count);
  }

  #runGroup(): void {
    const group = this.#takeGroup();
    const answers: (() => void)[] = [];
    try {
      this.#transactions.begin();
      for (const write of group) answers.push(applied(write));
      this.#transactions.commit();
    } catch (cause) {
      const error = this.#transactions.failed(cause);
      this.#transactions.rollback();
      for (const write of group) write.reject(error);
      return;
    }
    for (const answer of answers) answer();
  }
}

function applied(write: Write): () => void {
  try {
    const value = write.apply();
    return () => write.resolve(value);
  } catch (error) {
    if (!(error instanceof AppError)) throw error;
    return () => write.reject(error);
  }
}
