/**
 * The log of device-mapper's `log-writes` target, read back: every write with its data, every flush, every mark, in the order in which the
 * device saw them. Layout: drivers/md/dm-log-writes.c of Linux.
 */
import { open } from "node:fs/promises";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { BlockDevice } from "../../store/medium.ts";

const magic = 0x6a736677736872n;
const flagFlush = 1n;
const flagFua = 2n;
const flagDiscard = 4n;
const flagMark = 8n;
const sectorBytes = 512;

export interface LoggedWrite {
  offset: number;
  /** Empty for a flush, a discard or a mark. */
  data: Uint8Array;
  /** All before it is durable with it. */
  flush: boolean;
  /** It is durable itself. */
  forced: boolean;
  discardBytes: number;
  /** The number in a mark's text. */
  mark: number | undefined;
}

/** Reads the log that lies on `device`, at most 1,000,000 entries. */
export async function readWriteLog(device: string): Promise<LoggedWrite[]> {
  const file = await open(device, "r");
  try {
    const read = async (offset: number, length: number) => {
      const bytes = Buffer.alloc(length);
      const { bytesRead } = await file.read(bytes, 0, length, offset);
      if (bytesRead < length) throw new Error(`${device}: the log ends at ${offset + bytesRead}`);
      return bytes;
    };
    const head = await read(0, sectorBytes);
    if (head.readBigUInt64LE(0) !== magic) throw new Error(`${device} holds no log of writes`);
    const count = Math.min(Number(head.readBigUInt64LE(16)), 1_000_000);
    const unit = head.readUInt32LE(24);
    const entries: LoggedWrite[] = [];
    let at = unit;
    for (let i = 0; i < count; i++) {
      const entry = await read(at, unit);
      at += unit;
      const [sector, sectors, flags, dataBytes] = [0, 8, 16, 24].map((offset) => entry.readBigUInt64LE(offset));
      const has = (flag: bigint) => ((flags ?? 0n) & flag) !== 0n;
      const lengthBytes = has(flagMark) || has(flagDiscard) ? 0 : Number(sectors) * unit;
      const text = has(flagMark) ? entry.subarray(32, 32 + Number(dataBytes)).toString() : "";
      entries.push({
        offset: Number(sector) * unit,
        data: await read(at, lengthBytes),
        flush: has(flagFlush),
        forced: has(flagFua),
        discardBytes: has(flagDiscard) ? Number(sectors) * unit : 0,
        mark: /^\d+$/.test(text) ? Number(text) : undefined,
      });
      at += lengthBytes;
    }
    return entries;
  } finally {
    await file.close();
  }
}

/**
 * The device as it is found after a cut behind entry `cutAt`: all that was flushed before, and of the writes since the last flush any part,
 * in units of 512 bytes.
 */
export function contentAfterCut(sizeBytes: number, log: readonly LoggedWrite[], cutAt: number, prng: Prng): Uint8Array {
  const content = new Uint8Array(sizeBytes);
  const done = log.slice(0, cutAt);
  const lastFlush = done.findLastIndex(({ flush }) => flush);
  done.forEach((entry, i) => {
    if (entry.discardBytes > 0) content.fill(0, entry.offset, entry.offset + entry.discardBytes);
    const whole = i <= lastFlush || entry.forced;
    // A write is there, is not, or is there in part.
    const fate = whole ? 0 : prng.below(3);
    for (let from = 0; from < entry.data.byteLength; from += sectorBytes) {
      if (fate === 1 || (fate === 2 && prng.below(2) === 0)) continue;
      content.set(entry.data.subarray(from, from + sectorBytes), entry.offset + from);
    }
  });
  return content;
}

/** A device in memory with this content. */
export function memoryDevice(content: Uint8Array): BlockDevice {
  const sizeBytes = content.byteLength;
  return {
    sizeBytes,
    async read(into, offset) {
      if (offset + into.byteLength > sizeBytes) throw new FileSystemError("EIO", "read", "a device in memory");
      into.set(content.subarray(offset, offset + into.byteLength));
    },
    async write(buffers, offset) {
      let at = offset;
      for (const buffer of buffers) {
        content.set(buffer, at);
        at += buffer.byteLength;
      }
    },
    sync: async () => {},
    close: async () => {},
  };
}
