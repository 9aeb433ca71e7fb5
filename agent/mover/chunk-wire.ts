/** The bytes of a chunk answer: one u32 LE CRC32C a block, then the blocks. And the path that names a chunk. */
import type { ChunkKey } from "@couchestor/common/api/chunks.ts";
import { blockBytes } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { VerifiedBlocks } from "../store/ports.ts";

export const blocksContentType = "application/vnd.couchestor.blocks";
/** Answers repeat which chunk and which blocks they hold. */
export const chunkHeader = "x-couchestor-chunk";

/** `{volumeUuid}/{stripe}/{shardIndex}/{generation}/{encodeEpoch}/{encodeAct}` */
export function chunkPath(key: ChunkKey): string {
  return `${key.volumeUuid}/${key.stripe}/${key.shardIndex}/${key.generation}/${key.encodeEpoch}/${key.encodeAct}`;
}

/** What `chunkHeader` says. */
export function chunkTag(poolUuid: string, key: ChunkKey, firstBlock: number, blockCount: number): string {
  return `${poolUuid}/${chunkPath(key)} ${firstBlock}+${blockCount}`;
}

/** The CRC table as it goes before the blocks. */
export function crcTableBytes(crcs: Uint32Array): Uint8Array<ArrayBuffer> {
  const out = new Uint8Array(crcs.length * 4);
  const view = new DataView(out.buffer);
  for (let i = 0; i < crcs.length; i++) view.setUint32(i * 4, crcs[i] as number, true);
  return out;
}

/** Takes an answer apart and checks every block. `from` is the peer, for the message. Throws `ChunkCorrupt`. */
export function decodeBlocks(body: Uint8Array, blockCount: number, checksum: Checksum, from: string): VerifiedBlocks {
  const expected = blockCount * (4 + blockBytes);
  if (body.byteLength !== expected) {
    throw new AppError(
      "ChunkCorrupt",
      `${from} sent ${body.byteLength} bytes for ${blockCount} blocks; ${expected} were due`,
      {
        data: { got: body.byteLength, expected },
      },
    );
  }
  const bytes = body.subarray(blockCount * 4);
  const view = new DataView(body.buffer, body.byteOffset, blockCount * 4);
  const crcs = new Uint32Array(blockCount);
  checksum.crc32cBlocks(bytes, crcs);
  for (let i = 0; i < blockCount; i++) {
    if (view.getUint32(i * 4, true) === crcs[i]) continue;
    throw new AppError("ChunkCorrupt", `block ${i} that ${from} sent does not match its checksum`, {
      data: { block: i, where: "arrival" },
    });
  }
  return { crcs, bytes };
}
