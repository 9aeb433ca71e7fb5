/**
 * Files mapped into memory. Every access is bounded by the mapping, but a page that is not in memory stops the whole thread until it is read:
 * use it where pages are known to be resident, or in a worker. A file cut short behind a mapping's back kills the process on access (SIGBUS).
 */
import { type Pointer, toArrayBuffer } from "bun:ffi";
import { closeSync, fstatSync, openSync } from "node:fs";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { errnoError } from "../core/errno.ts";
import { pageBytes } from "../core/memory.ts";
import { lastErrno, libc } from "../libc/libc.ts";

const protectionRead = 1;
const protectionWrite = 2;
const mapShared = 1;
const syncAndWait = 4;
const advice = { normal: 0, random: 1, sequential: 2, willNeed: 3, dontNeed: 4 } as const;

export type MemoryAdvice = keyof typeof advice;

/** The most that one mapping may have: what a view of a buffer can address with room to spare. */
export const mappingBytesMax = 2 ** 32;

export interface MappedFile {
  readonly lengthBytes: number;
  /** A view of `[start, start + length)`. It becomes empty when the mapping is closed. */
  view(start: number, length: number): Uint8Array;
  /** Waits until what was written to the range (whole pages around it) is durable in the file. */
  sync(start: number, length: number): void;
  advise(start: number, length: number, what: MemoryAdvice): void;
  /** Unmaps. All views become empty, so nothing can touch the address afterwards. */
  close(): void;
}

function check(lengthBytes: number, start: number, length: number): void {
  const valid = Number.isSafeInteger(start) && Number.isSafeInteger(length) && start >= 0 && length >= 0;
  if (valid && start + length <= lengthBytes) return;
  throw new AppError(
    "InvalidArgument",
    `mapping: got ${length} bytes at ${start}; allowed: within 0 to ${lengthBytes}`,
    {
      data: { field: "range", start, length, lengthBytes },
    },
  );
}

/** Maps the first `lengthBytes` of a file (all of it by default), shared with every other user of the file. Throws `FileSystemError`. */
export function mapFile(path: string, options: { writable?: boolean; lengthBytes?: number } = {}): MappedFile {
  const writable = options.writable ?? false;
  const fd = openSync(path, writable ? "r+" : "r");
  try {
    const fileBytes = fstatSync(fd).size;
    const lengthBytes = options.lengthBytes ?? fileBytes;
    if (!Number.isSafeInteger(lengthBytes) || lengthBytes < 1 || lengthBytes > Math.min(fileBytes, mappingBytesMax)) {
      throw new AppError(
        "InvalidArgument",
        `lengthBytes of ${path}: got ${lengthBytes}; allowed: 1 to ${Math.min(fileBytes, mappingBytesMax)}, as the file has ${fileBytes}`,
        { data: { field: "lengthBytes", got: lengthBytes, fileBytes } },
      );
    }
    const protection = protectionRead | (writable ? protectionWrite : 0);
    const address = Number(libc().mmap(null, lengthBytes, protection, mapShared, fd, 0));
    if (address === -1) throw errnoError(lastErrno(), "mmap", path);
    return new Mapping(path, address, lengthBytes);
  } finally {
    // The mapping holds the file open by itself.
    closeSync(fd);
  }
}

class Mapping implements MappedFile {
  readonly lengthBytes: number;
  readonly #path: string;
  readonly #address: number;
  #memory: ArrayBuffer | undefined;

  constructor(path: string, address: number, lengthBytes: number) {
    this.#path = path;
    this.#address = address;
    this.lengthBytes = lengthBytes;
    this.#memory = toArrayBuffer(address as Pointer, 0, lengthBytes);
  }

  view(start: number, length: number): Uint8Array {
    check(this.lengthBytes, start, length);
    return new Uint8Array(this.#open(), start, length);
  }

  sync(start: number, length: number): void {
    const [address, bytes] = this.#pages(start, length);
    if (libc().msync(address as Pointer, bytes, syncAndWait) !== 0) throw errnoError(lastErrno(), "msync", this.#path);
  }

  advise(start: number, length: number, what: MemoryAdvice): void {
    const [address, bytes] = this.#pages(start, length);
    if (libc().madvise(address as Pointer, bytes, advice[what]) !== 0)
      throw errnoError(lastErrno(), "madvise", this.#path);
  }

  close(): void {
    if (!this.#memory) return;
    // Detaches the buffer first: every view has length 0 from here on.
    structuredClone(this.#memory, { transfer: [this.#memory] });
    this.#memory = undefined;
    if (libc().munmap(this.#address as Pointer, this.lengthBytes) !== 0)
      throw errnoError(lastErrno(), "munmap", this.#path);
  }

  #open(): ArrayBuffer {
    if (!this.#memory) throw errnoError(9, "mmap", `${this.#path} (closed)`);
    return this.#memory;
  }

  /** The whole pages around a range. */
  #pages(start: number, length: number): [address: number, bytes: number] {
    check(this.lengthBytes, start, length);
    this.#open();
    const first = Math.floor(start / pageBytes) * pageBytes;
    return [this.#address + first, start + length - first];
  }
}
