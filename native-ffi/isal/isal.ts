/** ISA-L through bun:ffi: erasure coding and CRC32C with the widest vectors the CPU has. The matrices are ours; ISA-L only multiplies. */
import { ptr } from "bun:ffi";
import { blockBytes } from "@couchestor/common/code/code.ts";
import { checkBlocks, checkRange } from "../codec/crc32c.ts";
import { linearCodec, type MatrixKernel } from "../codec/linear-codec.ts";
import type { Matrix } from "../codec/matrix.ts";
import type { Checksum, ErasureCodec } from "../codec/ports.ts";
import { type LibraryCandidate, type LibraryName, loadLibrary, type OpenLibrary } from "../core/load.ts";
import { AddressArray, addressOf } from "../core/memory.ts";

export const isalLibrary: LibraryName = {
  name: "libisal",
  sonames: ["libisal.so.2"],
  environmentVariable: "COUCHESTOR_LIBISAL",
};

const signatures = {
  ec_init_tables: { args: ["i32", "i32", "ptr", "ptr"], returns: "void" },
  ec_encode_data: { args: ["i32", "i32", "i32", "ptr", "ptr", "ptr"], returns: "void" },
  crc32_iscsi: { args: ["ptr", "i32", "u32"], returns: "u32" },
} as const;

type IsalLibrary = OpenLibrary<typeof signatures>;

/** `2.31` of the file name's `2.0.31`, `2.31.1` of the package's `2.31.1-1.1`. */
export function isalVersion(raw: string | undefined): string | undefined {
  const fromSoname = /^2\.0\.(\d+)$/.exec(raw ?? "");
  return fromSoname ? `2.${fromSoname[1]}` : /^\d+(?:\.\d+)+/.exec(raw ?? "")?.[0];
}

/** 2.31 brought kernels for GFNI; on CPUs with it, older ones have less than half the speed. */
export function isFastVersion(version: string | undefined): boolean {
  const [major = 0, minor = 0] = (version ?? "").split(".").map(Number);
  return major > 2 || (major === 2 && minor >= 31);
}

/** Bytes that ISA-L's tables take for each element of the matrix. */
const tableBytesPerElement = 32;
/** ISA-L counts bytes in a C int; longer buffers go in pieces of this length. */
const callBytesMax = 1 << 30;

/** The matrix as ISA-L wants it: a table for each element, in a form that depends on the CPU. */
function makeTables(ec_init_tables: IsalLibrary["symbols"]["ec_init_tables"], matrix: Matrix): Uint8Array {
  const tables = new Uint8Array(new ArrayBuffer(tableBytesPerElement * matrix.rows * matrix.cols));
  ec_init_tables(matrix.cols, matrix.rows, ptr(matrix.bytes), ptr(tables));
  return tables;
}

function isalKernel(library: IsalLibrary, description: string): MatrixKernel {
  const { ec_init_tables, ec_encode_data } = library.symbols;
  return {
    description,
    prepare(matrix: Matrix) {
      const { rows, cols } = matrix;
      const tables = makeTables(ec_init_tables, matrix);
      const tablesAddress = ptr(tables);
      const from = new AddressArray(cols);
      const into = new AddressArray(rows);
      const call = (sources: readonly Uint8Array[], outputs: readonly Uint8Array[], length: number) => {
        for (let i = 0; i < cols; i++) from.set(i, sources[i] as Uint8Array);
        for (let i = 0; i < rows; i++) into.set(i, outputs[i] as Uint8Array);
        ec_encode_data(length, cols, rows, tablesAddress, from.address as never, into.address as never);
      };
      return {
        /** The address does not keep them from the garbage collector; this reference does. */
        tables,
        run(sources, outputs, length) {
          if (length <= callBytesMax) {
            call(sources, outputs, length);
            return;
          }
          for (let at = 0; at < length; at += callBytesMax) {
            const end = Math.min(length, at + callBytesMax);
            const piece = (bytes: Uint8Array) => bytes.subarray(at, end);
            call(sources.map(piece), outputs.map(piece), end - at);
          }
        },
      };
    },
  };
}

function isalChecksum(library: IsalLibrary, description: string): Checksum {
  const { crc32_iscsi } = library.symbols;
  return {
    description,
    // ISA-L inverts neither the value it starts from nor the one it returns.
    crc32c(bytes, seed = 0, from = 0, to = bytes.length) {
      checkRange(bytes, from, to);
      let crc = ~seed >>> 0;
      for (let at = from; at < to; at += callBytesMax) {
        const length = Math.min(to - at, callBytesMax);
        crc = crc32_iscsi((addressOf(bytes) + at) as never, length, crc);
      }
      return ~crc >>> 0;
    },
    crc32cBlocks(bytes, out) {
      checkBlocks(bytes, out);
      if (out.length === 0) return;
      let address = addressOf(bytes);
      for (let i = 0; i < out.length; i++, address += blockBytes) {
        out[i] = ~crc32_iscsi(address as never, blockBytes, 0xffffffff);
      }
    },
  };
}

export interface Isal {
  readonly codec: ErasureCodec;
  readonly checksum: Checksum;
  /** `2.31.1`; undefined if nothing tells. */
  readonly version: string | undefined;
  /** Where it came from: a path, or `embedded`. */
  readonly origin: string;
  /** ISA-L's tables of a matrix, for callers that call `ec_encode_data` themselves: the benchmark from C. */
  initTables(matrix: Matrix): Uint8Array;
}

/** Opens ISA-L, preferring 2.31 or newer wherever it is. `isal` is undefined where there is none; `notes` says why, or that it is a slow one. */
export function loadIsal(): { isal: Isal | undefined; notes: readonly string[] } {
  const fast = (candidate: LibraryCandidate) => isFastVersion(isalVersion(candidate.version));
  const { library, notes } = loadLibrary(isalLibrary, signatures, fast);
  if (!library) return { isal: undefined, notes };
  const version = isalVersion(library.version);
  const description = version ? `isa-l ${version}` : "isa-l";
  const origin = library.origin === "embedded" ? "embedded" : library.path;
  const slow =
    version && !isFastVersion(version)
      ? [`isa-l ${version} from ${origin} is older than 2.31: correct, but less than half as fast on CPUs with GFNI`]
      : [];
  return {
    isal: {
      codec: linearCodec(isalKernel(library, description)),
      checksum: isalChecksum(library, description),
      version,
      origin,
      initTables: (matrix) => makeTables(library.symbols.ec_init_tables, matrix),
    },
    notes: [...notes, ...slow],
  };
}
