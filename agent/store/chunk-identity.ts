/** The part of a chunk's header that the index needs, read without the rest: a scan reads millions of them. */
import type { ChunkName } from "@couchestor/common/api/chunks.ts";
import { blockBytes } from "@couchestor/common/code/code.ts";
import { chunkHeaderBytes, chunkOffset } from "./chunk-format.ts";
import { getU64, getUuid, viewOf } from "./record-format.ts";

export interface ChunkIdentity {
  name: ChunkName;
  blockCount: number;
  tableCrc: number;
}

/** Reads name, length and table CRC of a header whose CRC was checked. */
export function readChunkIdentity(header: Uint8Array): ChunkIdentity {
  const view = viewOf(header);
  return {
    name: {
      volumeUuid: getUuid(header, chunkOffset.volumeUuid),
      stripe: getU64(view, chunkOffset.stripe, "stripe"),
      shardIndex: view.getUint32(chunkOffset.shardIndex, true),
      generation: view.getUint32(chunkOffset.generation, true),
      encodeEpoch: getU64(view, chunkOffset.encodeEpoch, "encodeEpoch"),
      encodeAct: view.getUint32(chunkOffset.encodeAct, true),
      putEpoch: getU64(view, chunkOffset.putEpoch, "putEpoch"),
      putAct: view.getUint32(chunkOffset.putAct, true),
    },
    blockCount: view.getUint32(chunkOffset.blockCount, true),
    tableCrc: view.getUint32(chunkOffset.tableCrc, true),
  };
}

/** The length of a chunk's whole record, in bytes. */
export function chunkRecordBytes(blockCount: number): number {
  return chunkHeaderBytes(blockCount) + blockCount * blockBytes;
}

/** Whether two names are the same in every part. */
export function sameName(a: ChunkName, b: ChunkName): boolean {
  return (
    a.volumeUuid === b.volumeUuid &&
    a.stripe === b.stripe &&
    a.shardIndex === b.shardIndex &&
    a.generation === b.generation &&
    a.encodeEpoch === b.encodeEpoch &&
    a.encodeAct === b.encodeAct &&
    a.putEpoch === b.putEpoch &&
    a.putAct === b.putAct
  );
}

/** A name as one string, for messages and for sets. */
export function formatName(name: ChunkName): string {
  const { volumeUuid, stripe, shardIndex, generation, encodeEpoch, encodeAct, putEpoch, putAct } = name;
  return `${volumeUuid}/${stripe}/${shardIndex}/${generation}/${encodeEpoch}.${encodeAct}/${putEpoch}.${putAct}`;
}
