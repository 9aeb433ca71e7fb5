/** LZ4 by liblz4 through bun:ffi. */
import { type LibraryName, loadLibrary } from "../core/load.ts";
import { checkInput, damagedBlock, decompressChecked, type Lz4, worthwhileBytes } from "./block.ts";

export const lz4Library: LibraryName = {
  name: "liblz4",
  sonames: ["liblz4.so.1"],
  environmentVariable: "COUCHESTOR_LIBLZ4",
};

const signatures = {
  LZ4_compress_default: { args: ["ptr", "ptr", "i32", "i32"], returns: "i32" },
  LZ4_decompress_safe: { args: ["ptr", "ptr", "i32", "i32"], returns: "i32" },
  LZ4_versionString: { args: [], returns: "cstring" },
} as const;

/** Opens liblz4. `lz4` is undefined where there is none; `notes` says why. */
export function loadNativeLz4(): { lz4: Lz4 | undefined; notes: readonly string[] } {
  const { library, notes } = loadLibrary(lz4Library, signatures);
  if (!library) return { lz4: undefined, notes };
  const { LZ4_compress_default, LZ4_decompress_safe, LZ4_versionString } = library.symbols;
  // Grows to the largest input seen, up to the limit; blocks are copied out of it.
  let scratch = new Uint8Array(64 * 1024);

  const decompressBlock = (block: Uint8Array, originalBytes: number): Uint8Array => {
    const out = new Uint8Array(originalBytes);
    const got = LZ4_decompress_safe(block, out, block.length, originalBytes);
    if (got < 0) throw damagedBlock(block.length, originalBytes, "not a valid block of that size");
    if (got !== originalBytes) throw damagedBlock(block.length, originalBytes, `it gives ${got} bytes`);
    return out;
  };

  const lz4: Lz4 = {
    description: `liblz4 ${LZ4_versionString()}`,
    compress(bytes) {
      checkInput(bytes);
      const room = worthwhileBytes(bytes.length);
      if (room === 0) return { raw: true, bytes };
      if (scratch.length < room) scratch = new Uint8Array(room);
      // Told how much room there is, liblz4 gives up as soon as a block cannot pay.
      const length = LZ4_compress_default(bytes, scratch, bytes.length, room);
      return length > 0 ? { raw: false, bytes: scratch.slice(0, length) } : { raw: true, bytes };
    },
    decompress: (compressed, originalBytes, limitBytes) =>
      decompressChecked(compressed, originalBytes, limitBytes, decompressBlock),
  };
  return { lz4, notes };
}
