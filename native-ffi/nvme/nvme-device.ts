/** Opens NVMe controllers and namespaces for administration: by libnvme where it is installed, else by the kernel's ioctl. */
import { closeSync } from "node:fs";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { alignedBytes } from "../core/memory.ts";
import { openForReading } from "../core/open-for-reading.ts";
import { ioctlAdmin, ioctlNamespaceId } from "./ioctl-transport.ts";
import { type Libnvme, loadLibnvme } from "./libnvme.ts";
import type { IdentifyRequest, LogPageRequest, NvmeAdminCommand, NvmeDevice } from "./ports.ts";

/** What a device gets to answer an admin command. The kernel's own default is a minute, too long for a look at health. */
const timeoutMsDefault = 10_000;
const identifyBytes = 4096;
/** The largest piece of a log page in one command: every controller takes it, whatever its transfer limit. */
const logPieceBytes = 4096;
const logBytesMax = 65_536;
const allNamespaces = 0xffff_ffff;
const opcodeGetLogPage = 0x02;
const opcodeIdentify = 0x06;

/** The system calls beneath, so that tests can answer for a controller. */
export interface NvmeSystem {
  open(path: string): number;
  close(fd: number): void;
  namespaceId(fd: number, path: string): number;
  admin(fd: number, path: string, operation: string, command: NvmeAdminCommand): number;
  /** Undefined where libnvme is not installed. */
  readonly libnvme: Libnvme | undefined;
}

let loaded: { libnvme: Libnvme | undefined; notes: readonly string[] } | undefined;

function systemCalls(): NvmeSystem {
  loaded ??= loadLibnvme();
  return { open: openForReading, close: closeSync, namespaceId: ioctlNamespaceId, admin: ioctlAdmin, ...loaded };
}

/** Opens `/dev/nvme0` or `/dev/nvme0n1` for administration, reading only. Throws `FileSystemError`: ENOENT, EACCES, ENXIO … */
export function openNvme(path: string, options: { timeoutMs?: number; system?: NvmeSystem } = {}): NvmeDevice {
  const system = options.system ?? systemCalls();
  return new AdminDevice(path, system.open(path), system, options.timeoutMs ?? timeoutMsDefault);
}

class AdminDevice implements NvmeDevice {
  readonly path: string;
  readonly #fd: number;
  readonly #system: NvmeSystem;
  readonly #timeoutMs: number;
  /** Taken away when the library turns out to be of another generation. */
  #libnvme: Libnvme | undefined;
  #closed = false;

  constructor(path: string, fd: number, system: NvmeSystem, timeoutMs: number) {
    this.path = path;
    this.#fd = fd;
    this.#system = system;
    this.#timeoutMs = timeoutMs;
    this.#libnvme = system.libnvme;
  }

  get via(): "libnvme" | "ioctl" {
    return this.#libnvme ? "libnvme" : "ioctl";
  }

  identify({ cns, nsid, csi = 0 }: IdentifyRequest): Uint8Array {
    const into = alignedBytes(identifyBytes);
    const operation = `identify (cns ${cns})`;
    this.#run(
      (libnvme) => libnvme.identify(this.#target(operation), { cns, nsid, csi }, into),
      () => this.#admin(operation, { opcode: opcodeIdentify, nsid, cdw10: cns, cdw11: csi * 2 ** 24, into }),
    );
    return into;
  }

  logPage({ page, nsid = allNamespaces, bytes }: LogPageRequest): Uint8Array {
    if (!Number.isInteger(bytes) || bytes < 4 || bytes > logBytesMax || bytes % 4 !== 0) {
      throw new AppError(
        "InvalidArgument",
        `log page ${page}: bytes: got ${bytes}; allowed: a multiple of 4 from 4 to ${logBytesMax}`,
        { data: { field: "bytes", got: bytes } },
      );
    }
    const whole = alignedBytes(bytes);
    for (let offset = 0; offset < bytes; offset += logPieceBytes) {
      this.#logPiece(page, nsid, offset, whole.subarray(offset, Math.min(bytes, offset + logPieceBytes)));
    }
    return whole;
  }

  #logPiece(page: number, nsid: number, offset: number, into: Uint8Array): void {
    const operation = `get log page ${page}`;
    // The number of dwords counts from 0 and is split over two fields.
    const dwords = into.length / 4 - 1;
    const cdw10 = (page + (dwords & 0xffff) * 2 ** 16) >>> 0;
    const cdw11 = dwords >>> 16;
    this.#run(
      (libnvme) => libnvme.getLog(this.#target(operation), { page, nsid, offset }, into),
      () => this.#admin(operation, { opcode: opcodeGetLogPage, nsid, cdw10, cdw11, cdw12: offset, into }),
    );
  }

  namespaceId(): number {
    this.#checkOpen("namespace id");
    return this.#system.namespaceId(this.#fd, this.path);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.close(this.#fd);
  }

  #target(operation: string) {
    return { fd: this.#fd, path: this.path, operation, timeoutMs: this.#timeoutMs };
  }

  #admin(operation: string, command: Omit<NvmeAdminCommand, "timeoutMs">): void {
    this.#system.admin(this.#fd, this.path, operation, { ...command, timeoutMs: this.#timeoutMs });
  }

  /**
   * By the library, or without it. A library whose argument structs have grown answers EINVAL before it asks the device; the same command by ioctl
   * then tells whose complaint that was, and if it works the library is not used again.
   */
  #run(byLibrary: (libnvme: Libnvme) => void, byIoctl: () => void): void {
    this.#checkOpen("command");
    try {
      if (this.#libnvme) {
        byLibrary(this.#libnvme);
        return;
      }
    } catch (error) {
      if (!(error instanceof FileSystemError) || error.code !== "EINVAL") throw error;
    }
    byIoctl();
    this.#libnvme = undefined;
  }

  #checkOpen(operation: string): void {
    if (this.#closed) throw new FileSystemError("EBADF", operation, `${this.path} (closed)`);
  }
}
