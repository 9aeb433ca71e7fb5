/**
 * What a pool is: 4096 bytes, kept twice. A change goes to the older copy under the next number, so one whole copy is there at every moment.
 *
 *   0 8   magic "CoSPOOL1"     8 u32 format version   12 u32 CRC of all other bytes   16 u64 number of this writing   24 u64 required features
 *  32 16  pool uuid           48 16  cluster uuid     64 u64 creation time, ms        72 u32 kind (1 directory, 2 block, 3 zoned)  76 u32 zero
 *  80 u64 segment bytes       88 u64 where segments begin  96 u64 how many slots or zones (both zero: directory)  104 u64 zero
 * 112 u8 length and 255 bytes node name   368 u8 length and 255 bytes pool name   624 … zeros
 */
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { checkZero, corrupt, getU64, getUuid, setU64, setUuid, viewOf } from "./record-format.ts";

export const superblockBytes = 4096;
const magic = new TextEncoder().encode("CoSPOOL1");
const formatVersion = 1;
const crcOffset = 12;
const kinds = ["directory", "block", "zoned"] as const;

export interface Superblock {
  /** Raised by each writing; the greater of two intact copies holds. */
  writeNo: number;
  poolUuid: string;
  clusterUuid: string;
  createdMs: number;
  kind: PoolInfo["kind"];
  segmentBytes: number;
  /** Where the first slot or zone of a segment begins, and how many of them there are. Zero for a directory. */
  slotsOffsetBytes: number;
  slotCount: number;
  nodeName: string;
  poolName: string;
}

function crcOf(bytes: Uint8Array, checksum: Checksum): number {
  return checksum.crc32c(bytes.subarray(crcOffset + 4), checksum.crc32c(bytes.subarray(0, crcOffset)));
}

function writeText(bytes: Uint8Array, at: number, field: string, text: string): void {
  const encoded = new TextEncoder().encode(text);
  if (encoded.byteLength > 255)
    throw new AppError("InvalidArgument", `${field}: got ${encoded.byteLength} bytes, at most 255 are allowed`);
  bytes[at] = encoded.byteLength;
  bytes.set(encoded, at + 1);
}

function readText(bytes: Uint8Array, at: number, field: string): string {
  const end = at + 1 + (bytes[at] ?? 0);
  checkZero(bytes, end, at + 256, `padding behind ${field}`);
  return new TextDecoder().decode(bytes.subarray(at + 1, end));
}

/** The 4096 bytes of a superblock. */
export function encodeSuperblock(superblock: Superblock, checksum: Checksum): Uint8Array {
  const bytes = new Uint8Array(superblockBytes);
  const view = viewOf(bytes);
  bytes.set(magic);
  view.setUint32(8, formatVersion, true);
  setU64(view, 16, superblock.writeNo);
  setUuid(bytes, 32, superblock.poolUuid);
  setUuid(bytes, 48, superblock.clusterUuid);
  setU64(view, 64, superblock.createdMs);
  view.setUint32(72, kinds.indexOf(superblock.kind) + 1, true);
  setU64(view, 80, superblock.segmentBytes);
  setU64(view, 88, superblock.slotsOffsetBytes);
  setU64(view, 96, superblock.slotCount);
  writeText(bytes, 112, "nodeName", superblock.nodeName);
  writeText(bytes, 368, "poolName", superblock.poolName);
  view.setUint32(crcOffset, crcOf(bytes, checksum), true);
  return bytes;
}

/** Whether the bytes begin as a superblock does, intact or not. */
export function hasSuperblockMagic(bytes: Uint8Array): boolean {
  return magic.every((byte, i) => bytes[i] === byte);
}

/** Checks and reads a superblock. Throws `ChunkCorrupt` naming the field, or `IncompatibleVersion`. */
export function decodeSuperblock(bytes: Uint8Array, checksum: Checksum): Superblock {
  if (bytes.byteLength !== superblockBytes) throw corrupt("superblock length", bytes.byteLength, `${superblockBytes}`);
  const view = viewOf(bytes);
  if (!hasSuperblockMagic(bytes)) throw corrupt("superblock magic", "other bytes", "CoSPOOL1");
  const stored = view.getUint32(crcOffset, true);
  if (stored !== crcOf(bytes, checksum)) throw corrupt("superblock CRC", stored, `${crcOf(bytes, checksum)}`);
  const version = view.getUint32(8, true);
  const features = view.getBigUint64(24, true);
  if (version !== formatVersion || features !== 0n)
    throw new AppError(
      "IncompatibleVersion",
      `pool superblock: version ${version} with features 0x${features.toString(16)}; this program knows version ${formatVersion} without features`,
    );
  const kind = kinds[view.getUint32(72, true) - 1];
  if (!kind) throw corrupt("pool kind", view.getUint32(72, true), `1 … ${kinds.length}`);
  checkZero(bytes, 624, superblockBytes, "reserved of the superblock");
  return {
    writeNo: getU64(view, 16, "writeNo"),
    poolUuid: getUuid(bytes, 32),
    clusterUuid: getUuid(bytes, 48),
    createdMs: getU64(view, 64, "createdMs"),
    kind,
    segmentBytes: getU64(view, 80, "segmentBytes"),
    slotsOffsetBytes: getU64(view, 88, "slotsOffsetBytes"),
    slotCount: getU64(view, 96, "slotCount"),
    nodeName: readText(bytes, 112, "nodeName"),
    poolName: readText(bytes, 368, "poolName"),
  };
}

/**
 * The valid copy with the greatest number, and which of the two it is. Undefined if neither is intact.
 * A copy of a newer format is not skipped over: its `IncompatibleVersion` is thrown.
 */
export function newestSuperblock(
  copies: readonly (Uint8Array | undefined)[],
  checksum: Checksum,
): { superblock: Superblock; copy: number } | undefined {
  let best: { superblock: Superblock; copy: number } | undefined;
  copies.forEach((bytes, copy) => {
    if (!bytes) return;
    try {
      const superblock = decodeSuperblock(bytes, checksum);
      if (!best || superblock.writeNo > best.superblock.writeNo) best = { superblock, copy };
    } catch (error) {
      if (error instanceof AppError && error.code === "ChunkCorrupt") return;
      throw error;
    }
  });
  return best;
}
