/**
 * Whether a pool can be written, and why not. Space comes and goes: `Full` ends by itself. A failed write or sync does not: what the medium
 * holds is then unknown until it is read again, so the pool takes no write until it is opened anew. No failed sync is ever tried again.
 */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";

const gone: ReadonlySet<string> = new Set(["ENOENT", "ENODEV", "ENXIO", "ESTALE", "EBADF", "ENOTCONN", "ESHUTDOWN"]);
const noSpace: ReadonlySet<string> = new Set(["ENOSPC", "EDQUOT"]);

/** What the kernel answers where the medium can't be read: EIO, and for errors that the device calls uncorrectable ENODATA or EILSEQ. */
const unreadable: ReadonlySet<string> = new Set(["EIO", "ENODATA", "EILSEQ", "EBADMSG", "EREMOTEIO"]);

/** Whether an error is of the place that was read, and may not be of the next. */
export function isMediumError(error: unknown): boolean {
  return error instanceof FileSystemError && unreadable.has(error.code);
}

/** Whether an error says that there is no room. */
export function isNoSpace(error: unknown): boolean {
  return error instanceof FileSystemError && noSpace.has(error.code);
}

export class PoolHealth {
  readonly #pool: string;
  #stopped: { state: "ReadOnly" | "Failed"; reason: string } | undefined;
  #full: string | undefined;

  /** `pool` names it in messages. */
  constructor(pool: string) {
    this.#pool = pool;
  }

  get state(): PoolInfo["state"] {
    return this.#stopped?.state ?? (this.#full ? "Full" : "Online");
  }

  get reason(): string | undefined {
    return this.#stopped?.reason ?? this.#full;
  }

  setFull(reason: string | undefined): void {
    this.#full = reason;
  }

  /** A write or sync failed in a way that leaves open what the medium holds: no more writes until the pool is opened again. */
  stopWrites(what: string, error: unknown): void {
    const code = error instanceof FileSystemError ? error.code : undefined;
    const state = code !== undefined && gone.has(code) ? "Failed" : "ReadOnly";
    if (this.#stopped?.state === "Failed") return;
    const detail = error instanceof Error ? error.message : String(error);
    const next = state === "Failed" ? "the medium is gone" : "writing stopped, reads go on";
    this.#stopped = { state, reason: `${what}: ${detail}; ${next} until the pool is opened again` };
  }

  /** Throws `Unavailable` or `ReadOnly` if nothing may be written. */
  checkWritable(): void {
    if (!this.#stopped) return;
    const { state, reason } = this.#stopped;
    throw new AppError(state === "Failed" ? "Unavailable" : "ReadOnly", `pool ${this.#pool} is ${state}: ${reason}`, {
      data: { pool: this.#pool, state },
    });
  }

  /** The error that a caller gets for a failed write. */
  asAppError(error: unknown): unknown {
    if (error instanceof AppError) return error;
    if (isNoSpace(error))
      return new AppError("NoSpace", `pool ${this.#pool}: the medium is full; free space or delete chunks`, {
        cause: error,
      });
    if (!(error instanceof FileSystemError)) return error;
    const code = this.state === "Failed" || gone.has(error.code) ? "Unavailable" : "ReadOnly";
    return new AppError(code, `pool ${this.#pool}: ${error.message}`, {
      cause: error,
      data: { pool: this.#pool, errno: error.code },
    });
  }
}
