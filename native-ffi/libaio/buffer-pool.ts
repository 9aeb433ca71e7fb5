/** Aligned buffers of one size, reused; at most `buffersMax` exist, and whoever comes when all are out waits for one. */
import { alignedBytes } from "../core/memory.ts";

export class BufferPool {
  readonly bufferBytes: number;
  readonly #buffersMax: number;
  readonly #idle: Uint8Array[] = [];
  readonly #waiting: ((buffer: Uint8Array) => void)[] = [];
  #made = 0;

  constructor(bufferBytes: number, buffersMax: number) {
    this.bufferBytes = bufferBytes;
    this.#buffersMax = buffersMax;
  }

  /** Runs `use` with a buffer of whatever content, and takes it back afterwards. */
  async with<Result>(use: (buffer: Uint8Array) => Promise<Result>): Promise<Result> {
    const buffer = await this.#take();
    try {
      return await use(buffer);
    } finally {
      const next = this.#waiting.shift();
      if (next) next(buffer);
      else this.#idle.push(buffer);
    }
  }

  async #take(): Promise<Uint8Array> {
    const idle = this.#idle.pop();
    if (idle) return idle;
    if (this.#made < this.#buffersMax) {
      this.#made++;
      return alignedBytes(this.bufferBytes);
    }
    return new Promise((resolve) => this.#waiting.push(resolve));
  }
}

/** Copies `into.length` bytes of the buffers, laid one behind the other, from position `from`. */
export function gather(buffers: readonly Uint8Array[], from: number, into: Uint8Array): void {
  let start = 0;
  let filled = 0;
  for (const buffer of buffers) {
    const skip = Math.max(0, from - start);
    if (skip < buffer.length && filled < into.length) {
      const part = buffer.subarray(skip, skip + into.length - filled);
      into.set(part, filled);
      filled += part.length;
    }
    start += buffer.length;
  }
}
