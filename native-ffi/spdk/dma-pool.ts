/** Buffers that a device can reach, a fixed number of one size, handed out in turn. */
import { toArrayBuffer } from "bun:ffi";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Driver } from "./driver.ts";

export interface DmaBuffer {
  readonly address: number;
  readonly bytes: Uint8Array;
}

export class DmaPool {
  readonly bufferBytes: number;
  readonly #driver: Driver;
  readonly #all: DmaBuffer[] = [];
  readonly #free: DmaBuffer[] = [];
  readonly #waiting: { resolve(buffer: DmaBuffer): void; reject(error: unknown): void }[] = [];
  readonly #lost = new Set<DmaBuffer>();
  #failed: { error: unknown } | undefined;

  constructor(driver: Driver, bufferBytes: number, count: number, alignment: number) {
    this.#driver = driver;
    this.bufferBytes = bufferBytes;
    for (let i = 0; i < count; i++) {
      const address = driver.calls.cs_dma_alloc(bufferBytes, alignment);
      if (!address) {
        this.close();
        throw new AppError(
          "Unavailable",
          `the driver has no memory for ${count} buffers of ${bufferBytes} bytes; give it more (docs/spdk.md)`,
        );
      }
      this.#all.push({ address: Number(address), bytes: new Uint8Array(toArrayBuffer(address, 0, bufferBytes)) });
    }
    this.#free.push(...this.#all);
  }

  /**
   * Runs `use` with a buffer. `isLost` says after an error whether the device may still write into it: then nobody gets it again, it is not freed,
   * and the pool gives out no more.
   */
  async with<T>(use: (buffer: DmaBuffer) => Promise<T>, isLost: () => boolean): Promise<T> {
    const buffer = await this.#take();
    try {
      const result = await use(buffer);
      this.#give(buffer);
      return result;
    } catch (error) {
      if (isLost()) this.#lose(buffer, error);
      else this.#give(buffer);
      throw error;
    }
  }

  async #take(): Promise<DmaBuffer> {
    if (this.#failed) throw this.#failed.error;
    return this.#free.pop() ?? (await new Promise((resolve, reject) => this.#waiting.push({ resolve, reject })));
  }

  #give(buffer: DmaBuffer): void {
    const next = this.#waiting.shift();
    if (next) next.resolve(buffer);
    else this.#free.push(buffer);
  }

  #lose(buffer: DmaBuffer, error: unknown): void {
    this.#lost.add(buffer);
    this.#failed ??= { error };
    for (const { reject } of this.#waiting.splice(0)) reject(error);
  }

  /** Only when nothing is under way. */
  close(): void {
    for (const buffer of this.#all) if (!this.#lost.has(buffer)) this.#driver.calls.cs_dma_free(buffer.address);
    this.#all.length = 0;
  }
}
