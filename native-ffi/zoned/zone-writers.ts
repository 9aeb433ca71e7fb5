/** The two ways to write to a zone's write pointer. Both tell a removed device from one that fails. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { errnoName } from "../core/errno.ts";
import { addressOf, alignedBytes } from "../core/memory.ts";
import { StructArray } from "../core/struct.ts";
import type { LatencyObserver } from "../libaio/aio.ts";
import { gather } from "../libaio/buffer-pool.ts";
import { alignmentBytes, type DirectFile, isAligned, operationBytesMax } from "../libaio/direct-file.ts";
import { blockDeviceGeometry } from "../libc/libc.ts";
import type { IoctlThread } from "./ioctl-thread.ts";
import { ioCommand64, namespaceId, opcodeZoneAppend, passthru64Layout } from "./structs.ts";
import type { ZonedLimits } from "./zoned-limits.ts";

export interface ZoneWriterParts {
  file: DirectFile;
  thread: IoctlThread;
  path: string;
  zoneBytes: number;
  limits: ZonedLimits;
  latency: LatencyObserver | undefined;
}

export interface ZoneWriter {
  readonly name: "append" | "write";
  /** Writes `bytes` bytes of buffers at `offset` of the zone that begins at `start`. */
  write(start: number, buffers: readonly Uint8Array[], bytes: number, offset: number): Promise<void>;
}

const wholeBlocks = (bytes: number): number => Math.floor(bytes / alignmentBytes) * alignmentBytes;

/**
 * By direct writes, each as long as one request of the kernel and begun when the one before is done: a longer one would be split, and kernels keep the
 * parts in order only with some schedulers.
 */
export function directWriter({ file, limits }: ZoneWriterParts): ZoneWriter {
  const pieceBytesMax = Math.max(
    alignmentBytes,
    Math.min(operationBytesMax, wholeBlocks(limits.requestBytesMax ?? alignmentBytes)),
  );
  const staging = alignedBytes(pieceBytesMax);
  const write: ZoneWriter["write"] = async (start, buffers, bytes, offset) => {
    const [only] = buffers;
    const source = buffers.length === 1 && only && isAligned(only) ? only : undefined;
    for (let at = 0; at < bytes; at += pieceBytesMax) {
      const length = Math.min(pieceBytesMax, bytes - at);
      const piece = source ? source.subarray(at, at + length) : staging.subarray(0, length);
      if (!source) gather(buffers, at, piece);
      await file.write([piece], start + offset + at);
    }
  };
  return { name: "write", write: oneAtATime(write) };
}

/** Staged bytes of one message to the thread. */
const batchBytesMax = 4 * 2 ** 20;
const appendTimeoutMs = 60_000;

/** By NVMe zone append. Undefined if the device is none of NVMe, or does not tell how long an append may be. */
export async function zoneAppender(parts: ZoneWriterParts): Promise<ZoneWriter | undefined> {
  const { file, thread, path, limits, latency } = parts;
  // Returned as the result, not by the argument; anything else answers ENOTTY.
  const namespace = (await thread.run(file.fd, namespaceId, [new Uint8Array(8)])).result;
  if (namespace <= 0 || limits.appendBytesMax === undefined) return undefined;
  const pieceBytesMax = Math.min(batchBytesMax, wholeBlocks(limits.appendBytesMax));
  if (pieceBytesMax === 0) return undefined;
  const batchBytes = Math.floor(batchBytesMax / pieceBytesMax) * pieceBytesMax;
  const { sectorBytes: blockBytes } = blockDeviceGeometry(file.fd, path);
  const staging = alignedBytes(batchBytes);

  const appendBatch = async (start: number, data: Uint8Array, offset: number): Promise<void> => {
    const count = Math.ceil(data.byteLength / pieceBytesMax);
    const commands = Array.from({ length: count }, (_, i) => {
      const piece = data.subarray(i * pieceBytesMax, (i + 1) * pieceBytesMax);
      return appendCommand(namespace, start / blockBytes, piece, blockBytes);
    });
    const startMs = latency?.nowMs() ?? 0;
    const outcome = await thread.run(
      file.fd,
      ioCommand64,
      commands.map(({ bytes }) => bytes),
      [data],
    );
    latency?.observe("write", latency.nowMs() - startMs);
    for (const [i, command] of commands.entries()) {
      const expected = (start + offset + i * pieceBytesMax) / blockBytes;
      if (i >= outcome.done) await file.checkPresent();
      if (i >= outcome.done) throw appendError(outcome, path, start / parts.zoneBytes);
      const landed = command.get(0, "result");
      if (landed !== expected)
        throw new FileSystemError("EIO", `append (landed at block ${landed}, expected ${expected})`, path);
    }
  };

  const write: ZoneWriter["write"] = async (start, buffers, bytes, offset) => {
    const [only] = buffers;
    const source = buffers.length === 1 && only && isAligned(only) ? only : undefined;
    for (let at = 0; at < bytes; at += batchBytes) {
      const length = Math.min(batchBytes, bytes - at);
      const data = source ? source.subarray(at, at + length) : staging.subarray(0, length);
      if (!source) gather(buffers, at, data);
      await appendBatch(start, data, offset + at);
    }
  };
  return { name: "append", write: oneAtATime(write) };
}

function appendCommand(
  namespace: number,
  zoneBlock: number,
  data: Uint8Array,
  blockBytes: number,
): StructArray<keyof typeof passthru64Layout.fields> {
  const command = new StructArray(passthru64Layout, 1);
  command.set(0, "opcode", opcodeZoneAppend);
  command.set(0, "nsid", namespace);
  command.set(0, "addr", addressOf(data));
  command.set(0, "data_len", data.byteLength);
  command.set(0, "cdw10", zoneBlock % 2 ** 32);
  command.set(0, "cdw11", Math.floor(zoneBlock / 2 ** 32));
  command.set(0, "cdw12", data.byteLength / blockBytes - 1);
  command.set(0, "timeout_ms", appendTimeoutMs);
  return command;
}

/** Status codes of the ZNS command set, section 2.5. */
const statusCodes: Readonly<Record<number, readonly [code: string, words: string]>> = {
  441: ["EIO", "the zone is full"],
  442: ["EROFS", "the zone is read-only"],
  443: ["EIO", "the zone is offline"],
  444: ["EIO", "not at the write pointer"],
  445: ["EOVERFLOW", "too many active zones"],
  446: ["ETOOMANYREFS", "too many open zones"],
};

function appendError(outcome: { result: number; errno: number }, path: string, zone: number): FileSystemError {
  if (outcome.result < 0) return new FileSystemError(errnoName(outcome.errno), `append to zone ${zone}`, path);
  const status = outcome.result & 0x7ff;
  const [code, words] = statusCodes[status] ?? ["EIO", "the device refused it"];
  return new FileSystemError(code, `append to zone ${zone} (${words}, NVMe status 0x${status.toString(16)})`, path);
}

/** Staging memory has one user; zones are written one after the other. */
function oneAtATime(write: ZoneWriter["write"]): ZoneWriter["write"] {
  let last: Promise<unknown> = Promise.resolve();
  return (start, buffers, bytes, offset) => {
    const result = last.then(() => write(start, buffers, bytes, offset));
    last = result.catch(() => {});
    return result;
  };
}
