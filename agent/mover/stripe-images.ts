/** The chunks of one stripe in memory: headers and shards in one buffer each, filled, encoded and sealed in place without copying. */
import type { ActId } from "@couchestor/common/api/acts.ts";
import type { ShardLocation, VolumeDescriptor } from "@couchestor/common/api/maps.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import {
  blockBytes,
  type Code,
  dataShards,
  matrixSystematicVandermonde,
  shardBytes,
  shardCount,
} from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import type { Coding } from "../ports.ts";
import { chunkHeaderBytes, encodeChunkHeader, stripeDigest } from "../store/chunk-format.ts";

/** What the headers of all of a stripe's chunks say alike. */
export interface StripeIdentity {
  volume: VolumeDescriptor;
  code: Code;
  stripe: number;
  stripeBytes: number;
  generation: number;
  encodeEpoch: number;
  encodeAct: number;
  throughSeq: number;
  placementVersion: number;
}

export class StripeImages {
  readonly code: Code;
  readonly stripeBytes: number;
  readonly images: Uint8Array[];
  /** The data regions of the images, by shard index. */
  readonly shards: Uint8Array[];
  readonly #headerBytes: number;
  #tables: Uint32Array[] | undefined;

  constructor(code: Code, stripeBytes: number) {
    this.code = code;
    this.stripeBytes = stripeBytes;
    const shard = shardBytes(code, stripeBytes);
    this.#headerBytes = chunkHeaderBytes(shard / blockBytes);
    this.images = Array.from({ length: shardCount(code) }, () => new Uint8Array(this.#headerBytes + shard));
    this.shards = this.images.map((image) => image.subarray(this.#headerBytes));
  }

  get data(): Uint8Array[] {
    return this.shards.slice(0, dataShards(this.code));
  }

  get parity(): Uint8Array[] {
    return this.shards.slice(dataShards(this.code));
  }

  /** Memory of all images together. */
  get bytes(): number {
    return this.images.reduce((sum, image) => sum + image.byteLength, 0);
  }

  encode({ codec }: Coding): void {
    codec.encode(this.code, this.data, this.parity);
  }

  /** The digest over the CRC tables of all shards, which must all be filled and not change any more. */
  digest({ checksum }: Coding): number {
    this.#tables = this.shards.map((shard) => tableOf(shard, checksum));
    return stripeDigest(this.#tables, checksum);
  }

  /** Writes the headers of the target shards, whose data must be there. `digest` is the whole stripe's. */
  seal(
    identity: StripeIdentity,
    targets: readonly ShardLocation[],
    act: Pick<ActId, "epoch" | "actNo">,
    digest: number,
    { checksum }: Coding,
  ): void {
    const { volume, stripe, generation, encodeEpoch, encodeAct, throughSeq, placementVersion } = identity;
    for (const { shardIndex, poolUuid } of targets) {
      const image = this.images[shardIndex];
      const shard = this.shards[shardIndex];
      if (image === undefined || shard === undefined) {
        throw new AppError(
          "InvalidArgument",
          `targets: got shard ${shardIndex}, the code has 0 … ${this.images.length - 1}`,
        );
      }
      const header = encodeChunkHeader(
        {
          volumeUuid: volume.volumeUuid,
          stripe,
          shardIndex,
          generation,
          encodeEpoch,
          encodeAct,
          putEpoch: act.epoch,
          putAct: act.actNo,
          clusterUuid: volume.clusterUuid,
          journalId: volume.journalId,
          poolUuid,
          originVolumeUuid: zeroUuid,
          throughSeq,
          placementVersion,
          code: this.code,
          matrixId: matrixSystematicVandermonde,
          stripeBytes: this.stripeBytes,
          shardBytes: shard.byteLength,
          storedBytes: shard.byteLength,
          stripeDigest: digest,
          volumeName: volume.name,
          volumeSizeBytes: volume.sizeBytes,
          stripesPerRun: volume.stripesPerRun,
          policyStripeBytes: volume.stripeSizeBytes,
        },
        this.#tables?.[shardIndex] ?? tableOf(shard, checksum),
        checksum,
      );
      image.set(header);
    }
  }
}

function tableOf(shard: Uint8Array, checksum: Checksum): Uint32Array {
  const crcs = new Uint32Array(shard.byteLength / blockBytes);
  checksum.crc32cBlocks(shard, crcs);
  return crcs;
}
