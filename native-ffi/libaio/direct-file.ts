/** Files and block devices past the page cache (O_DIRECT), several operations at once. */

import { close as closeFile, constants, fdatasync, fstat, open as openFile } from "node:fs";
import { promisify } from "node:util";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { addressOf } from "../core/memory.ts";
import { currentPlatform } from "../core/platform.ts";
import { blockDeviceGeometry } from "../libc/libc.ts";
import { AioQueue, type LatencyObserver } from "./aio.ts";
import { BufferPool, gather } from "./buffer-pool.ts";
import { blockDeviceNumber, type DeviceNumber, isRemoved } from "./device-presence.ts";

/** What offsets, lengths and addresses of direct I/O are multiples of here: the largest logical block in use. */
export const alignmentBytes = 4096;
/** The most bytes in one operation; longer requests become several at once. */
export const operationBytesMax = 1024 * 1024;
const depthDefault = 32;
/** Buffers to copy through, for callers whose memory is not aligned. */
const buffersMax = 16;

export interface DirectFile {
  /** For calls that this interface has not; it is closed with the file. */
  readonly fd: number;
  /** The size when it was opened; of a block device, what the kernel says it has. */
  readonly sizeBytes: number;
  readonly isBlockDevice: boolean;
  /** The number of a block device; undefined for a file. */
  readonly device: DeviceNumber | undefined;
  /** Reads `into.length` bytes at `offset`, both of any value; returns how many there were, fewer only at the end. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Writes the buffers one behind the other; offset and total length must be multiples of 4096. Not durable before `sync`. */
  write(buffers: readonly Uint8Array[], offset: number): Promise<void>;
  /** fdatasync: what was written is durable on return, past the device's own cache. */
  sync(): Promise<void>;
  /** Throws ENODEV if the block device was removed. */
  checkPresent(): Promise<void>;
  /** Waits for what is under way. */
  close(): Promise<void>;
}

export interface DirectFileOptions {
  /** Operations at the kernel at once, 1 to 1024. */
  depthMax?: number;
  /** Make a new file; it must not exist. */
  create?: boolean;
  /** Told how long each operation took, from when the kernel was given it until its end was seen. */
  latency?: LatencyObserver;
}

/** Runs a callback call of node:fs and names its error as the rest of the program does. */
async function call<Result>(operation: string, path: string, run: () => Promise<Result>): Promise<Result> {
  try {
    return await run();
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    throw new FileSystemError(typeof code === "string" ? code : "EIO", operation, path, { cause: error });
  }
}

/** Waits for all, then throws the first error: a buffer may not be reused while the kernel still has another part of the request. */
async function all<Result>(promises: Promise<Result>[]): Promise<Result[]> {
  const settled = await Promise.allSettled(promises);
  return settled.map((result) => {
    if (result.status === "rejected") throw result.reason;
    return result.value;
  });
}

const isAlignedOffset = (offset: number): boolean =>
  offset >= 0 && offset % alignmentBytes === 0 && Number.isSafeInteger(offset);

/** Whether direct I/O takes the memory as it is. */
export const isAligned = (bytes: Uint8Array): boolean =>
  bytes.length % alignmentBytes === 0 && bytes.length > 0 && addressOf(bytes) % alignmentBytes === 0;

/**
 * Opens a block device, or a file, for direct reading and writing. A block device that is mounted or otherwise in use is refused with EBUSY.
 * Throws `FileSystemError` (EINVAL where the file system knows no O_DIRECT), or `FailedPrecondition` without libaio.
 */
export async function openDirectFile(path: string, options: DirectFileOptions = {}): Promise<DirectFile> {
  const platform = currentPlatform();
  if (!platform) throw new AppError("FailedPrecondition", `${process.platform}-${process.arch} has no direct I/O here`);
  const queue = new AioQueue(options.depthMax ?? depthDefault, options.latency);
  try {
    // On a block device, O_EXCL without O_CREAT asks to be its only user; on a file it has no effect.
    const mode =
      constants.O_RDWR | platform.openDirectFlag | constants.O_EXCL | (options.create ? constants.O_CREAT : 0);
    const fd = await call("open", path, () => promisify(openFile)(path, mode, 0o600));
    try {
      const stat = await call("fstat", path, () => promisify(fstat)(fd));
      const device = stat.isBlockDevice() ? blockDeviceNumber(stat.rdev) : undefined;
      const sizeBytes = device ? blockDeviceGeometry(fd, path).sizeBytes : stat.size;
      if (device && sizeBytes === 0) throw new FileSystemError("ENODEV", "open (it has no size)", path);
      return new AioDirectFile({ path, fd, queue, sizeBytes, device, latency: options.latency });
    } catch (error) {
      await promisify(closeFile)(fd);
      throw error;
    }
  } catch (error) {
    await queue.close();
    throw error;
  }
}

interface Parts {
  path: string;
  fd: number;
  queue: AioQueue;
  sizeBytes: number;
  /** Undefined for a file. */
  device: DeviceNumber | undefined;
  latency: LatencyObserver | undefined;
}

class AioDirectFile implements DirectFile {
  readonly sizeBytes: number;
  readonly isBlockDevice: boolean;
  readonly fd: number;
  readonly device: DeviceNumber | undefined;
  readonly #parts: Parts;
  readonly #pool = new BufferPool(operationBytesMax, buffersMax);
  readonly #syncing = new Set<Promise<void>>();
  #closed: Promise<void> | undefined;

  constructor(parts: Parts) {
    this.#parts = parts;
    this.fd = parts.fd;
    this.sizeBytes = parts.sizeBytes;
    this.device = parts.device;
    this.isBlockDevice = parts.device !== undefined;
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    // The shortest way for what needs no help: with small requests every step is felt.
    if (into.length <= operationBytesMax && isAlignedOffset(offset) && isAligned(into))
      return this.#readAligned(into, offset);
    return this.#readAny(into, offset);
  }

  async #readAny(into: Uint8Array, offset: number): Promise<number> {
    this.#checkOffset(offset);
    const end = offset + into.length;
    const pieces: Promise<number>[] = [];
    for (let at = offset; at < end; ) {
      const first = Math.floor(at / alignmentBytes) * alignmentBytes;
      const next = Math.min(end, first + operationBytesMax);
      pieces.push(this.#readPiece(into.subarray(at - offset, next - offset), at));
      at = next;
    }
    let total = 0;
    for (const got of await all(pieces)) total += got;
    return total;
  }

  /** Reads a range within `operationBytesMax` of the aligned offset at or before it. */
  async #readPiece(into: Uint8Array, offset: number): Promise<number> {
    if (offset % alignmentBytes === 0 && isAligned(into)) return this.#readAligned(into, offset);
    const skip = offset % alignmentBytes;
    const length = Math.ceil((skip + into.length) / alignmentBytes) * alignmentBytes;
    return this.#pool.with(async (buffer) => {
      const got = (await this.#readAligned(buffer.subarray(0, length), offset - skip)) - skip;
      const usable = Math.max(0, Math.min(got, into.length));
      into.set(buffer.subarray(skip, skip + usable));
      return usable;
    });
  }

  /** Fewer bytes than asked for are the end of the file only if nothing more comes. */
  async #readAligned(into: Uint8Array, offset: number): Promise<number> {
    const { queue, path } = this.#parts;
    let done = 0;
    try {
      while (done < into.length && done % alignmentBytes === 0) {
        const rest = done === 0 ? into : into.subarray(done);
        const got = await queue.submit("read", this.fd, path, rest, offset + done);
        if (got === 0) {
          // From a disk that was removed there is nothing to read either.
          if (offset + done < this.sizeBytes) this.#checkPresent("read");
          break;
        }
        done += got;
      }
    } catch (error) {
      throw this.#outranked("read", error);
    }
    return done;
  }

  /** A removed NVMe disk says ENOSPC to writes, others EIO: that it is gone outranks either. */
  #outranked(operation: string, error: unknown): unknown {
    if (this.#closed) return error;
    try {
      this.#checkPresent(operation);
      return error;
    } catch (gone) {
      return gone;
    }
  }

  async checkPresent(): Promise<void> {
    if (this.#closed) throw new FileSystemError("EBADF", "look at", `${this.#parts.path} (closed)`);
    this.#checkPresent("look at");
  }

  #checkPresent(operation: string): void {
    const { device, path } = this.#parts;
    if (device && isRemoved(this.fd, device, path))
      throw new FileSystemError("ENODEV", `${operation} (the device was removed)`, path);
  }

  write(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const [only] = buffers;
    if (buffers.length === 1 && only && only.length <= operationBytesMax && isAlignedOffset(offset) && isAligned(only))
      return this.#writeAligned(only, offset);
    return this.#writeAny(buffers, offset);
  }

  async #writeAny(buffers: readonly Uint8Array[], offset: number): Promise<void> {
    this.#checkOffset(offset);
    const length = buffers.reduce((sum, buffer) => sum + buffer.length, 0);
    if (offset % alignmentBytes !== 0 || length % alignmentBytes !== 0) {
      throw new AppError(
        "InvalidArgument",
        `write ${this.#parts.path}: got ${length} bytes at ${offset}; allowed: multiples of ${alignmentBytes}`,
        {
          data: { field: "offset", offset, length },
        },
      );
    }
    const [only] = buffers;
    const source = buffers.length === 1 && only && isAligned(only) ? only : undefined;
    const pieces: Promise<void>[] = [];
    for (let at = 0; at < length; at += operationBytesMax) {
      const pieceBytes = Math.min(operationBytesMax, length - at);
      pieces.push(
        source
          ? this.#writeAligned(source.subarray(at, at + pieceBytes), offset + at)
          : this.#pool.with((buffer) => {
              gather(buffers, at, buffer.subarray(0, pieceBytes));
              return this.#writeAligned(buffer.subarray(0, pieceBytes), offset + at);
            }),
      );
    }
    await all(pieces);
  }

  async #writeAligned(bytes: Uint8Array, offset: number): Promise<void> {
    const { queue, path } = this.#parts;
    let done: number;
    try {
      done = await queue.submit("write", this.fd, path, bytes, offset);
    } catch (error) {
      throw this.#outranked("write", error);
    }
    if (done === bytes.length) return;
    this.#checkPresent("write");
    // A device that took only a part has no room left or is failing; either way the rest is not there.
    throw new FileSystemError(
      this.isBlockDevice ? "EIO" : "ENOSPC",
      `write (${done} of ${bytes.length} bytes at ${offset})`,
      this.#parts.path,
    );
  }

  async sync(): Promise<void> {
    if (this.#closed) throw new FileSystemError("EBADF", "fdatasync", `${this.#parts.path} (closed)`);
    const { path, latency } = this.#parts;
    const startMs = latency?.nowMs() ?? 0;
    const syncing = call("fdatasync", path, () => promisify(fdatasync)(this.fd));
    this.#syncing.add(syncing);
    try {
      await syncing;
    } catch (error) {
      throw this.#outranked("fdatasync", error);
    } finally {
      this.#syncing.delete(syncing);
      latency?.observe("sync", latency.nowMs() - startMs);
    }
  }

  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  /** The descriptor's number may be another file's the moment it is closed, so nothing may still be using it. */
  async #finish(): Promise<void> {
    await this.#parts.queue.close();
    await Promise.allSettled(this.#syncing);
    await call("close", this.#parts.path, () => promisify(closeFile)(this.fd));
  }

  #checkOffset(offset: number): void {
    if (Number.isSafeInteger(offset) && offset >= 0) return;
    throw new AppError("InvalidArgument", `offset: got ${offset}; allowed: a whole number of bytes from 0`, {
      data: { field: "offset", got: offset },
    });
  }
}
