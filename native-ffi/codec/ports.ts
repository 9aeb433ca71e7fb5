/** What the agent needs of a codec and a checksum, whoever computes them: ISA-L, WebAssembly or plain TypeScript, all byte-identical. */
import type { Code } from "@couchestor/common/code/code.ts";

export interface ErasureCodec {
  /** For people: `isa-l 2.31.1`, `webassembly`, `typescript`. */
  readonly description: string;
  /**
   * Computes the parity shards of `data` (k buffers of equal length, a multiple of 4096 or any length for ranges) into `parity`.
   * Caller owns all buffers; nothing is retained.
   */
  encode(code: Code, data: readonly Uint8Array[], parity: readonly Uint8Array[]): void;
  /**
   * Computes the shards `wanted` into `into` from the shards in `present` (index → bytes; all of equal length, which may be any sub-range of
   * the shards as long as it is the same range of each). Uses only as many as needed. Throws `AppError("Unrecoverable")` if they do not suffice.
   */
  reconstruct(
    code: Code,
    present: ReadonlyMap<number, Uint8Array>,
    wanted: readonly number[],
    into: readonly Uint8Array[],
  ): void;
}

export interface Checksum {
  readonly description: string;
  /**
   * CRC32C (Castagnoli, reflected, as in iSCSI and ext4): crc32c("123456789") = 0xE3069283. `seed` continues an earlier result. Of the bytes
   * `from` … `to` alone if those are given, which saves making a view of them; they must lie within.
   */
  crc32c(bytes: Uint8Array, seed?: number, from?: number, to?: number): number;
  /** One CRC32C per 4 KiB block of `bytes` (length a multiple of 4096) into `out`. */
  crc32cBlocks(bytes: Uint8Array, out: Uint32Array): void;
}

/** Which shards to read to get the `wanted` ones, given the ones that can be read; the fewest. Undefined if they do not suffice. */
export type RecoveryPlanner = (
  code: Code,
  available: ReadonlySet<number>,
  wanted: readonly number[],
) => number[] | undefined;
