/** What the tests of the store share: chunks made from a seed, and a pool on a simulated file system. */
import type { ChunkInfo, ChunkName } from "@couchestor/common/api/chunks.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import type { SimFileSystem } from "@couchestor/common/testing/sim-file-system.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { type ChunkFields, encodeChunk } from "../chunk-format.ts";
import { openChunkStore } from "../chunk-store.ts";
import type { ChunkStoreOptions, PoolChunkStore } from "../pool-chunk-store.ts";

export const clusterUuid = "11111111-2222-4333-8444-555555555555";
export const volumeUuid = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
export const checksum = typescriptChecksum;

/** A clock that never moves by itself; sleeping takes no time. */
export const stillClock: Clock = {
  wallMs: () => 1_700_000_000_000,
  monotonicMs: () => 0,
  sleep: () => Promise.resolve(),
  after: () => () => {},
};

/** All fields of a chunk of `blocks` blocks; `over` changes some. */
export function fieldsOf(blocks: number, over: Partial<ChunkInfo> = {}): ChunkFields {
  return {
    volumeUuid,
    stripe: 7,
    shardIndex: 2,
    generation: 1,
    encodeEpoch: 2 ** 32,
    encodeAct: 3,
    putEpoch: 2 ** 32,
    putAct: 4,
    clusterUuid,
    journalId: "99999999-8888-4777-8666-555555555555",
    poolUuid: zeroUuid,
    originVolumeUuid: zeroUuid,
    throughSeq: 12,
    placementVersion: 5,
    code: { family: "rs", k: 4, m: 2 },
    matrixId: 1,
    stripeBytes: 4 * blocks * 4096,
    shardBytes: blocks * 4096,
    storedBytes: blocks * 4096,
    stripeDigest: 0xdeadbeef,
    volumeName: "vol-ä",
    volumeSizeBytes: 10 * 2 ** 30,
    stripesPerRun: 1024,
    policyStripeBytes: 4 * 2 ** 20,
    ...over,
  };
}

/** The data of a chunk, from its seed. */
export function dataOf(blocks: number, seed: number): Uint8Array {
  return seededPrng(seed).bytes(blocks * 4096);
}

export interface TestChunk {
  name: ChunkName;
  data: Uint8Array;
  image: Uint8Array;
}

/** A chunk with a name made from `no` and data from `seed`. */
export function chunkOf(
  no: number,
  options: { blocks?: number; seed?: number; over?: Partial<ChunkInfo> } = {},
): TestChunk {
  const blocks = options.blocks ?? 1;
  const fields = fieldsOf(blocks, { stripe: no, ...options.over });
  const data = dataOf(blocks, options.seed ?? no);
  return { name: nameOf(fields), data, image: encodeChunk(fields, data, checksum) };
}

/** The name in a chunk's fields. */
export function nameOf(fields: ChunkName): ChunkName {
  const { volumeUuid: volume, stripe, shardIndex, generation, encodeEpoch, encodeAct, putEpoch, putAct } = fields;
  return { volumeUuid: volume, stripe, shardIndex, generation, encodeEpoch, encodeAct, putEpoch, putAct };
}

/** The key part of a name. */
export function keyOf({ putEpoch: _epoch, putAct: _act, ...key }: ChunkName): Omit<ChunkName, "putEpoch" | "putAct"> {
  return key;
}

/** Options of a small pool that does nothing by itself. */
export function poolOptions(
  fileSystem: ChunkStoreOptions["fileSystem"],
  prng: Prng,
  path = "/srv/pools/a",
): ChunkStoreOptions {
  return {
    medium: { kind: "directory", path },
    poolName: "a",
    nodeName: "n1",
    labels: {},
    fileSystem,
    clock: stillClock,
    prng,
    checksum,
    limits: { segmentBytes: 64 * 1024, maintenanceEveryMs: 0, reserveBytes: 0 },
  };
}

/** A pool on a simulated file system, bound to the cluster. */
export async function openSimPool(fs: SimFileSystem, seed = 1): Promise<PoolChunkStore> {
  const store = await openChunkStore(poolOptions(fs, seededPrng(seed)));
  await store.adopt(clusterUuid);
  return store;
}
