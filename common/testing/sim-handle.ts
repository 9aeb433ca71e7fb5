/** An open file of the simulated file system. It dies with the life of the machine that opened it. */
import { type FileHandle, FileSystemError } from "../runtime/file-system.ts";
import type { SimFault, SimOperation } from "./sim-fault.ts";
import type { SimFile } from "./sim-file.ts";

/** What a handle needs of its file system. */
export interface SimHost {
  readonly capacityBytes: number;
  usedBytes(): number;
  call(operation: SimOperation, path: string, life: number, bytes?: number): Promise<SimFault | undefined>;
}

export class SimHandle implements FileHandle {
  readonly #fs: SimHost;
  readonly #file: SimFile;
  readonly #path: string;
  readonly #life: number;

  constructor(fs: SimHost, file: SimFile, path: string, life: number) {
    this.#fs = fs;
    this.#file = file;
    this.#path = path;
    this.#life = life;
  }

  async #call(operation: SimOperation, bytes = 0): Promise<SimFault | undefined> {
    const fault = await this.#fs.call(operation, this.#path, this.#life, bytes);
    if (fault === "crash" && operation !== "write") throw new FileSystemError("ECRASHED", operation, this.#path);
    return fault;
  }

  async read(into: Uint8Array, offset: number): Promise<number> {
    await this.#call("read", into.byteLength);
    return this.#file.read(into, offset);
  }

  async write(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const total = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    const fault = await this.#call("write", total);
    if (fault === "skip") return;
    const growth = Math.max(0, offset + total - this.#file.sizeBytes);
    const room = this.#fs.capacityBytes - this.#fs.usedBytes();
    const full = fault === undefined && growth > room;
    const allowed = full ? Math.max(0, total - growth + room) : fault === undefined ? total : Math.floor(total / 2);
    let done = 0;
    for (const buffer of buffers) {
      const part = buffer.subarray(0, Math.max(0, allowed - done));
      if (part.byteLength > 0) this.#file.write(part, offset + done);
      done += part.byteLength;
    }
    if (fault === "crash") throw new FileSystemError("ECRASHED", "write", this.#path);
    if (full || fault === "short") throw new FileSystemError("ENOSPC", "write", this.#path);
  }

  async sync(): Promise<void> {
    const fault = await this.#call("sync");
    if (fault === "skip") return;
    if (fault !== undefined) {
      this.#file.failSync();
      throw new FileSystemError(fault, "sync", this.#path);
    }
    this.#file.sync();
  }

  async truncate(lengthBytes: number): Promise<void> {
    if ((await this.#call("truncate")) !== "skip") this.#file.truncate(lengthBytes);
  }

  async size(): Promise<number> {
    await this.#call("size");
    return this.#file.sizeBytes;
  }

  async dropCache(): Promise<void> {
    if ((await this.#call("drop-cache")) !== "skip") this.#file.dropCache();
  }

  async close(): Promise<void> {
    await this.#call("close");
  }
}
