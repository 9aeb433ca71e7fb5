/**
 * A zoned block device: zones are reported, emptied and finished by the kernel's ioctls, in a thread of their own since they block. Writes go to the
 * write pointer, on NVMe by zone append (which says where the data went, and does not depend on requests staying in order), elsewhere by one
 * direct write after the other. Reads are direct, several at once.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { errnoError } from "../core/errno.ts";
import { StructArray } from "../core/struct.ts";
import { alignmentBytes, type DirectFile, type DirectFileOptions, openDirectFile } from "../libaio/direct-file.ts";
import { IoctlThread } from "./ioctl-thread.ts";
import { reportAllZones } from "./report-zones.ts";
import { finishZone, resetZone, sectorBytes, zoneRangeLayout } from "./structs.ts";
import type { ReportedZone } from "./zone-report.ts";
import { directWriter, type ZoneWriter, type ZoneWriterParts, zoneAppender } from "./zone-writers.ts";
import { zonedLimits } from "./zoned-limits.ts";

export interface ZonedFileOptions extends DirectFileOptions {
  /** How to write; undefined: zone append where the device has it. */
  writeBy?: "append" | "write" | undefined;
}

/**
 * Opens a zoned block device as its only user. Throws `FileSystemError` (EBUSY if it is in use, EACCES …), or `FailedPrecondition` if the device is not
 * zoned, its zones differ in length, or `append` was asked for and it has none.
 */
export async function openZonedFile(path: string, options: ZonedFileOptions = {}): Promise<ZonedFile> {
  const file = await openDirectFile(path, options);
  const thread = new IoctlThread();
  try {
    const zones = await reportAll(thread, file, path);
    const [first] = zones;
    const regular = zones.slice(0, -1).every((zone) => zone.lengthBytes === first?.lengthBytes);
    if (!first || !regular)
      throw new AppError("FailedPrecondition", `${path}: its zones differ in length, which can't be used`);
    const limits = zonedLimits(file.device ?? { major: -1, minor: -1 });
    const parts: ZoneWriterParts = {
      file,
      thread,
      path,
      zoneBytes: first.lengthBytes,
      limits,
      latency: options.latency,
    };
    const writer = await chooseWriter(parts, options.writeBy);
    return new ZonedFile(parts, zones.length, writer, limits.activeZonesMax);
  } catch (error) {
    await thread.close();
    await file.close();
    throw error;
  }
}

async function chooseWriter(parts: ZoneWriterParts, writeBy: ZonedFileOptions["writeBy"]): Promise<ZoneWriter> {
  const append = writeBy === "write" ? undefined : await zoneAppender(parts);
  if (append) return append;
  if (writeBy === "append")
    throw new AppError("FailedPrecondition", `${parts.path}: the device, or this kernel, has no zone append`);
  return directWriter(parts);
}

async function reportAll(thread: IoctlThread, file: DirectFile, path: string): Promise<ReportedZone[]> {
  try {
    const zones = await reportAllZones(thread, { fd: file.fd, path, sizeBytes: file.sizeBytes });
    if (zones.length > 0) return zones;
  } catch (error) {
    if (!(error instanceof FileSystemError)) throw error;
    await file.checkPresent();
    if (!["ENOTTY", "EOPNOTSUPP", "EINVAL"].includes(error.code)) throw error;
  }
  throw notZoned(path);
}

function notZoned(path: string): AppError {
  return new AppError("FailedPrecondition", `${path}: it is not a zoned device`);
}

export class ZonedFile {
  readonly zoneBytes: number;
  readonly zoneCount: number;
  readonly activeZonesMax: number | undefined;
  /** `append` or `write`. */
  readonly writesBy: string;
  readonly #parts: ZoneWriterParts;
  readonly #writer: ZoneWriter;
  #closed: Promise<void> | undefined;

  constructor(parts: ZoneWriterParts, zoneCount: number, writer: ZoneWriter, activeZonesMax: number | undefined) {
    this.#parts = parts;
    this.#writer = writer;
    this.zoneBytes = parts.zoneBytes;
    this.zoneCount = zoneCount;
    this.activeZonesMax = activeZonesMax;
    this.writesBy = writer.name;
  }

  /** All zones as they are now. */
  report(): Promise<ReportedZone[]> {
    return reportAll(this.#parts.thread, this.#parts.file, this.#parts.path);
  }

  /** Reads from a zone; throws unless it got all. */
  async read(zone: number, into: Uint8Array, offset: number): Promise<void> {
    const { file, path } = this.#parts;
    const got = await file.read(into, this.#start(zone) + offset);
    if (got !== into.byteLength)
      throw new FileSystemError("EIO", `read (${got} of ${into.byteLength} bytes at ${offset} of zone ${zone})`, path);
  }

  /** Writes whole 4 KiB blocks at `offset` of a zone, which must be its write pointer; one call at a time to a zone. Not durable before `sync`. */
  async write(zone: number, buffers: readonly Uint8Array[], offset: number): Promise<void> {
    const bytes = buffers.reduce((sum, buffer) => sum + buffer.byteLength, 0);
    if (bytes === 0 || bytes % alignmentBytes !== 0 || offset % alignmentBytes !== 0)
      throw new AppError(
        "InvalidArgument",
        `write zone ${zone} of ${this.#parts.path}: got ${bytes} bytes at ${offset}; allowed: multiples of ${alignmentBytes}`,
        { data: { field: "offset", offset, bytes } },
      );
    await this.#writer.write(this.#start(zone), buffers, bytes, offset);
  }

  /** Empties a zone. */
  reset(zone: number): Promise<void> {
    return this.#manage("reset", resetZone, zone);
  }

  /** Makes a zone full. */
  finish(zone: number): Promise<void> {
    return this.#manage("finish", finishZone, zone);
  }

  sync(): Promise<void> {
    return this.#parts.file.sync();
  }

  checkPresent(): Promise<void> {
    return this.#parts.file.checkPresent();
  }

  /** Waits for what is under way. */
  close(): Promise<void> {
    this.#closed ??= this.#parts.thread.close().then(() => this.#parts.file.close());
    return this.#closed;
  }

  async #manage(operation: string, request: number, zone: number): Promise<void> {
    const { thread, file, path, zoneBytes } = this.#parts;
    const range = new StructArray(zoneRangeLayout, 1);
    range.set(0, "sector", this.#start(zone) / sectorBytes);
    range.set(0, "nr_sectors", zoneBytes / sectorBytes);
    const { result, errno } = await thread.run(file.fd, request, [range.bytes]);
    if (result === 0) return;
    await file.checkPresent();
    throw errnoError(errno, `${operation} zone ${zone}`, path);
  }

  #start(zone: number): number {
    if (!Number.isInteger(zone) || zone < 0 || zone >= this.zoneCount)
      throw new AppError("InvalidArgument", `zone: got ${zone}; allowed: 0 to ${this.zoneCount - 1}`, {
        data: { field: "zone", got: zone },
      });
    return zone * this.zoneBytes;
  }
}
