/**
 * A namespace of a controller that this process drives itself. Controllers are attached when their first namespace is opened and let go with the
 * last one.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { cString } from "../core/memory.ts";
import { StructArray } from "../core/struct.ts";
import { gather } from "../libaio/buffer-pool.ts";
import { type DmaBuffer, DmaPool } from "./dma-pool.ts";
import { type ControllerInfo, type Driver, readControllerInfo } from "./driver.ts";
import { CommandQueue } from "./queue.ts";
import { controllerInfo, namespaceInfoLayout } from "./structs.ts";

/** What offsets and lengths of the program's I/O are multiples of; a multiple of every namespace's block. */
export const alignmentBytes = 4096;
const depthDefault = 64;
const pieceBytesMax = 256 * 1024;
const buffersMax = 32;

export interface NamespaceInfo {
  controller: ControllerInfo;
  nsid: number;
  sizeBytes: number;
  blockBytes: number;
  /** Of a zoned namespace. */
  zones?: {
    count: number;
    zoneBytes: number;
    /** Undefined: no limit. */
    activeMax: number | undefined;
    openMax: number | undefined;
    appendBytesMax: number;
  };
}

/** `ADDRESS/NSID`, such as `0000:5e:00.0/1`. Throws `InvalidArgument`. */
export function parseNamespacePath(path: string): { address: string; nsid: number } {
  const match = /^([A-Za-z0-9:._-]{1,63})\/([1-9]\d{0,8})$/.exec(path);
  if (match?.[1] !== undefined && match[2] !== undefined) return { address: match[1], nsid: Number(match[2]) };
  throw new AppError(
    "InvalidArgument",
    `"${path}" names no namespace; allowed: ADDRESS/NUMBER, such as 0000:5e:00.0/1`,
    {
      data: { field: "path", came: path },
    },
  );
}

interface Attached {
  handle: number;
  users: number;
}

/** By driver, since a test may start another. */
const attached = new WeakMap<Driver, Map<string, Attached>>();

function attach(driver: Driver, address: string): Attached {
  const all = attached.get(driver) ?? new Map<string, Attached>();
  attached.set(driver, all);
  let controller = all.get(address);
  if (controller === undefined) {
    const handle = new BigUint64Array(1);
    driver.check(driver.calls.cs_attach(cString(address), handle), "attach", address);
    controller = { handle: Number(handle[0]), users: 0 };
    all.set(address, controller);
  }
  controller.users++;
  return controller;
}

function detach(driver: Driver, address: string, controller: Attached): void {
  if (--controller.users > 0) return;
  attached.get(driver)?.delete(address);
  driver.calls.cs_detach(controller.handle);
}

export interface NamespaceOptions {
  clock: Clock;
  /** Commands at the device at once, 1 to 1024. */
  depthMax?: number;
}

export class Namespace {
  readonly info: NamespaceInfo;
  readonly path: string;
  readonly #driver: Driver;
  readonly #controller: Attached;
  readonly #handle: number;
  readonly #queue: CommandQueue;
  readonly #pool: DmaPool;
  readonly #pieceBytes: number;
  #closed: Promise<void> | undefined;

  private constructor(parts: {
    driver: Driver;
    path: string;
    info: NamespaceInfo;
    controller: Attached;
    handle: number;
    options: NamespaceOptions;
  }) {
    const { driver, path, info, controller, handle, options } = parts;
    this.info = info;
    this.path = path;
    this.#driver = driver;
    this.#controller = controller;
    this.#handle = handle;
    const pieceBytes = Math.min(pieceBytesMax, info.controller.transferBytesMax);
    this.#pieceBytes = Math.floor(pieceBytes / alignmentBytes) * alignmentBytes;
    this.#queue = new CommandQueue(driver, controller.handle, options.depthMax ?? depthDefault, path, options.clock);
    try {
      this.#pool = new DmaPool(driver, this.#pieceBytes, buffersMax, alignmentBytes);
    } catch (error) {
      driver.calls.cs_queue_close(this.#queue.handle);
      throw error;
    }
  }

  /**
   * Opens `ADDRESS/NSID`. Throws `InvalidArgument`, `FailedPrecondition` for a block size that can't be used, or `FileSystemError`: ENODEV if it is not
   * there, EBUSY if another process drives it.
   */
  static open(driver: Driver, path: string, options: NamespaceOptions): Namespace {
    const { address, nsid } = parseNamespacePath(path);
    const controller = attach(driver, address);
    try {
      const about = new Uint8Array(controllerInfo.sizeBytes);
      driver.check(driver.calls.cs_describe(controller.handle, about), "describe", path);
      const found = new StructArray(namespaceInfoLayout, 1);
      const handle = new BigUint64Array(1);
      driver.check(driver.calls.cs_namespace_open(controller.handle, nsid, found.bytes, handle), "open", path);
      const info = infoOf(readControllerInfo(about), found, path);
      return new Namespace({ driver, path, info, controller, handle: Number(handle[0]), options });
    } catch (error) {
      detach(driver, address, controller);
      throw error;
    }
  }

  /** Reads whole blocks of 4 KiB; offset and length are multiples of it, and within the namespace. */
  async read(into: Uint8Array, offset: number): Promise<void> {
    const { calls } = this.#driver;
    await this.#inPieces(into.byteLength, offset, async (buffer, at, length, block, blocks) => {
      const run = (tag: number) => calls.cs_read(this.#queue.handle, this.#handle, buffer.address, block, blocks, tag);
      await this.#queue.run("read", run);
      into.set(buffer.bytes.subarray(0, length), at);
    });
  }

  /** Writes whole blocks of 4 KiB. With `inOrder` each piece is sent when the one before is done, as a zone wants it. */
  async write(buffers: readonly Uint8Array[], offset: number, inOrder = false): Promise<void> {
    const length = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    const { calls } = this.#driver;
    const piece: Piece = async (buffer, at, pieceBytes, block, blocks) => {
      gather(buffers, at, buffer.bytes.subarray(0, pieceBytes));
      const run = (tag: number) => calls.cs_write(this.#queue.handle, this.#handle, buffer.address, block, blocks, tag);
      await this.#queue.run("write", run);
    };
    await this.#inPieces(length, offset, piece, inOrder);
  }

  /** What was written before is durable on return. */
  async flush(): Promise<void> {
    const { calls } = this.#driver;
    await this.#queue.run("flush", (tag) => calls.cs_flush(this.#queue.handle, this.#handle, tag));
  }

  /** Appends to the zone that begins at `zoneOffset`, in one command; gives the offset where the device put it. */
  async zoneAppend(bytes: Uint8Array, zoneOffset: number): Promise<number> {
    const { blockBytes } = this.info;
    const blocks = this.#checkRange("append", zoneOffset, bytes.byteLength) / blockBytes;
    if (bytes.byteLength > Math.min(this.#pieceBytes, this.info.zones?.appendBytesMax ?? 0))
      throw new FileSystemError("EINVAL", `append (${bytes.byteLength} bytes in one command)`, this.path);
    const { calls } = this.#driver;
    const block = await this.#with(async (buffer) => {
      buffer.bytes.set(bytes);
      const zone = zoneOffset / blockBytes;
      const run = (tag: number) =>
        calls.cs_zone_append(this.#queue.handle, this.#handle, buffer.address, zone, blocks, tag);
      return await this.#queue.run("append", run);
    });
    return block * blockBytes;
  }

  /** A page of the zone report from the zone that begins at `offset`: as many zones as go into one command's buffer. */
  async zoneReport(offset: number): Promise<Uint8Array> {
    const { calls } = this.#driver;
    const block = offset / this.info.blockBytes;
    return await this.#with(async (buffer) => {
      const { byteLength } = buffer.bytes;
      const run = (tag: number) =>
        calls.cs_zone_report(this.#queue.handle, this.#handle, buffer.address, byteLength, block, tag);
      await this.#queue.run("report zones", run);
      return buffer.bytes.slice();
    });
  }

  /** One of `zoneAction` on the zone that begins at `offset`. */
  async zoneSend(action: number, offset: number, words: string): Promise<void> {
    const { calls } = this.#driver;
    const block = offset / this.info.blockBytes;
    await this.#queue.run(words, (tag) => calls.cs_zone_send(this.#queue.handle, this.#handle, block, action, tag));
  }

  /** The controller's health page, 512 bytes. */
  async healthPage(): Promise<Uint8Array> {
    const { calls } = this.#driver;
    return await this.#with(async (buffer) => {
      await this.#queue.run("read health", (tag) => calls.cs_health_page(this.#queue.handle, buffer.address, tag));
      return buffer.bytes.slice(0, 512);
    });
  }

  /** Throws ENODEV once the device is known to be gone. */
  checkPresent(): void {
    if (this.#queue.broken) throw this.#queue.broken;
  }

  /** Waits for what is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#finish();
    return this.#closed;
  }

  async #finish(): Promise<void> {
    await this.#queue.close();
    this.#pool.close();
    detach(this.#driver, parseNamespacePath(this.path).address, this.#controller);
  }

  #with<T>(use: (buffer: DmaBuffer) => Promise<T>): Promise<T> {
    return this.#pool.with(use, () => this.#queue.broken !== undefined);
  }

  async #inPieces(length: number, offset: number, piece: Piece, inOrder = false): Promise<void> {
    this.#checkRange("access", offset, length);
    const { blockBytes } = this.info;
    const running: Promise<void>[] = [];
    for (let at = 0; at < length; at += this.#pieceBytes) {
      const bytes = Math.min(this.#pieceBytes, length - at);
      const one = this.#with((buffer) => piece(buffer, at, bytes, (offset + at) / blockBytes, bytes / blockBytes));
      if (inOrder) await one;
      else running.push(one);
    }
    // All of them, so that nothing of this call is under way when it has ended.
    for (const result of await Promise.allSettled(running)) if (result.status === "rejected") throw result.reason;
  }

  #checkRange(operation: string, offset: number, length: number): number {
    const isAligned = offset % alignmentBytes === 0 && length % alignmentBytes === 0;
    if (isAligned && offset >= 0 && offset + length <= this.info.sizeBytes) return length;
    throw new FileSystemError(
      "EINVAL",
      `${operation} (${length} bytes at ${offset} of ${this.info.sizeBytes})`,
      this.path,
    );
  }
}

type Piece = (buffer: DmaBuffer, at: number, bytes: number, block: number, blocks: number) => Promise<void>;

function infoOf(
  controller: ControllerInfo,
  found: StructArray<keyof typeof namespaceInfoLayout.fields>,
  path: string,
): NamespaceInfo {
  const get = (field: keyof typeof namespaceInfoLayout.fields) => found.get(0, field);
  const blockBytes = get("block_bytes");
  if (blockBytes < 512 || alignmentBytes % blockBytes !== 0) {
    throw new AppError(
      "FailedPrecondition",
      `${path}: its blocks have ${blockBytes} bytes, allowed: 512, 1024, 2048 or 4096`,
    );
  }
  if (controller.transferBytesMax < alignmentBytes) {
    throw new AppError(
      "FailedPrecondition",
      `${path}: its controller takes ${controller.transferBytesMax} bytes in one command, needed: ${alignmentBytes}`,
    );
  }
  const sizeBytes = Math.floor((get("blocks") * blockBytes) / alignmentBytes) * alignmentBytes;
  const info = { controller, nsid: get("nsid"), sizeBytes, blockBytes };
  if (get("zone_blocks") === 0) return info;
  const zones = {
    count: get("zones"),
    zoneBytes: get("zone_blocks") * blockBytes,
    activeMax: get("active_zones_max") || undefined,
    openMax: get("open_zones_max") || undefined,
    appendBytesMax: get("append_bytes_max"),
  };
  return { ...info, zones };
}
