/** Takes exactly as many bytes of a request body as are asked for, in order; a sender that stops or stalls is an error. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";

interface BodyReader {
  read(): Promise<{ done: boolean; value?: Uint8Array | undefined }>;
  cancel(): Promise<void>;
}

export interface BodyCursorOptions {
  clock: Clock;
  /** The sender must send something within this time. */
  stallMsMax: number;
  /** Bytes due in all, for messages. */
  bytesDue: number;
}

export class BodyCursor {
  readonly #reader: BodyReader;
  readonly #options: BodyCursorOptions;
  #left: Uint8Array = new Uint8Array(0);
  #taken = 0;

  constructor(body: ReadableStream<Uint8Array>, options: BodyCursorOptions) {
    this.#reader = body.getReader() as BodyReader;
    this.#options = options;
  }

  /** Hands on the next `length` bytes piece by piece. Throws `InvalidArgument` if the body ends or breaks off before. */
  async take(length: number, signal: AbortSignal, use: (piece: Uint8Array) => void): Promise<void> {
    for (let due = length; due > 0; ) {
      if (this.#left.byteLength === 0) await this.#fill(signal);
      const piece = this.#left.subarray(0, due);
      this.#left = this.#left.subarray(piece.byteLength);
      this.#taken += piece.byteLength;
      due -= piece.byteLength;
      use(piece);
    }
  }

  /** Throws `InvalidArgument` unless the body ends here. */
  async expectEnd(signal: AbortSignal): Promise<void> {
    let more = this.#left.byteLength;
    while (more === 0) {
      const { done, value } = await this.#read(signal);
      if (done) return;
      more += value?.byteLength ?? 0;
    }
    throw new AppError("InvalidArgument", `body: got more than the ${this.#options.bytesDue} bytes that were due`);
  }

  /** Stops reading; the sender notices. */
  async cancel(): Promise<void> {
    await this.#reader.cancel().catch(() => undefined);
  }

  async #fill(signal: AbortSignal): Promise<void> {
    while (this.#left.byteLength === 0) {
      const { done, value } = await this.#read(signal);
      if (done) throw this.#broken("the body ended");
      this.#left = value ?? this.#left;
    }
  }

  async #read(signal: AbortSignal): Promise<{ done: boolean; value?: Uint8Array | undefined }> {
    signal.throwIfAborted();
    const { clock, stallMsMax } = this.#options;
    const cut = Promise.withResolvers<never>();
    const onAbort = () => cut.reject(signal.reason);
    const cancelTimer = clock.after(stallMsMax, () => cut.reject(this.#broken(`nothing came for ${stallMsMax} ms`)));
    signal.addEventListener("abort", onAbort, { once: true });
    try {
      return await Promise.race([this.#reader.read(), cut.promise]);
    } catch (error) {
      if (signal.aborted || error instanceof AppError) throw error;
      throw this.#broken("the sender broke off", error);
    } finally {
      cancelTimer();
      signal.removeEventListener("abort", onAbort);
    }
  }

  #broken(what: string, cause?: unknown): AppError {
    const { bytesDue } = this.#options;
    return new AppError("InvalidArgument", `body: ${what} after ${this.#taken} of ${bytesDue} bytes`, {
      data: { got: this.#taken, due: bytesDue },
      ...(cause === undefined ? {} : { cause }),
    });
  }
}
