/** LZ4 blocks (without the frame format): what every implementation here takes and gives. */
import { AppError } from "@couchestor/common/errors/app-error.ts";

/** What `compress` gives: `bytes` is a block of LZ4, or the input itself where that does not pay. */
export interface Compressed {
  readonly raw: boolean;
  readonly bytes: Uint8Array;
}

export interface Lz4 {
  /** For people: `liblz4 1.9.4`, `lz4 webassembly`. */
  readonly description: string;
  /** Compresses up to `lz4InputBytesMax`. `raw`: the block would not be smaller by `savingShareMin`, and `bytes` is the input itself, uncopied. */
  compress(bytes: Uint8Array): Compressed;
  /**
   * The original `originalBytes` bytes of a block. Throws `ChunkCorrupt` if the block is damaged or gives another length, and `TooLarge` if
   * more than `limitBytes` are declared: a peer's word is no reason to allocate.
   */
  decompress(compressed: Compressed, originalBytes: number, limitBytes: number): Uint8Array;
}

export const lz4InputBytesMax = 64 * 1024 * 1024;
/** A block must be smaller than its input by this share, or reading it back costs more than it saves. */
export const savingShareMin = 1 / 8;

/** The most bytes a block of this input may have to be worth keeping. */
export function worthwhileBytes(inputBytes: number): number {
  return Math.floor(inputBytes * (1 - savingShareMin));
}

/** The longest block that LZ4 makes of so many bytes, if they do not compress at all. */
function blockBytesMax(inputBytes: number): number {
  return inputBytes + Math.floor(inputBytes / 255) + 16;
}

export function checkInput(bytes: Uint8Array): void {
  if (bytes.length <= lz4InputBytesMax) return;
  throw new AppError("TooLarge", `lz4 input: got ${bytes.length} bytes; allowed: at most ${lz4InputBytesMax}`, {
    data: { field: "bytes", got: bytes.length, max: lz4InputBytesMax },
  });
}

/** The error for a block that does not decompress to what was declared. */
export function damagedBlock(blockBytes: number, originalBytes: number, why: string): AppError {
  return new AppError(
    "ChunkCorrupt",
    `lz4 block of ${blockBytes} bytes does not decompress to ${originalBytes} bytes: ${why}`,
    {
      data: { blockBytes, originalBytes },
    },
  );
}

/** What is the same for all: declared sizes are checked before anything is allocated, and raw bytes are returned as they are. */
export function decompressChecked(
  compressed: Compressed,
  originalBytes: number,
  limitBytes: number,
  decompressBlock: (block: Uint8Array, originalBytes: number) => Uint8Array,
): Uint8Array {
  const max = Math.min(limitBytes, lz4InputBytesMax);
  if (!Number.isSafeInteger(originalBytes) || originalBytes < 0 || originalBytes > max) {
    throw new AppError("TooLarge", `lz4 original size: got ${originalBytes} bytes; allowed: 0 to ${max}`, {
      data: { field: "originalBytes", got: originalBytes, max },
    });
  }
  const { raw, bytes } = compressed;
  if (raw) {
    if (bytes.length !== originalBytes) throw damagedBlock(bytes.length, originalBytes, "raw bytes of another length");
    return bytes;
  }
  if (bytes.length === 0 || originalBytes === 0)
    throw damagedBlock(bytes.length, originalBytes, "an empty input is kept raw");
  if (bytes.length > blockBytesMax(originalBytes)) {
    throw damagedBlock(bytes.length, originalBytes, "longer than any block of that size");
  }
  return decompressBlock(bytes, originalBytes);
}
