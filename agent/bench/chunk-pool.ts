/** A pool on the real file system for benchmarks, and chunks to fill it with. */
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ChunkKey } from "@couchestor/common/api/chunks.ts";
import { zeroUuid } from "@couchestor/common/api/primitives.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { seededPrng, systemPrng } from "@couchestor/common/runtime/prng.ts";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { fadviseDontNeed, flockExclusive } from "@couchestor/native-ffi/libc/libc.ts";
import { encodeChunkHeader } from "../store/chunk-format.ts";
import { openChunkStore } from "../store/chunk-store.ts";
import type { MediumSpec, PoolChunkStore } from "../store/pool-chunk-store.ts";

const clusterUuid = "11111111-2222-4333-8444-555555555555";
const volumeUuid = "aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee";
const shards = 6;
export const fileSystem = nodeFileSystem({ flock: flockExclusive, dropCache: fadviseDontNeed });

/** Runs with a folder of its own, removed afterwards; below COUCHESTOR_BENCH_DIR if that is set. */
export async function withFolder<T>(run: (folder: string) => Promise<T>): Promise<T> {
  const folder = await mkdtemp(join(process.env["COUCHESTOR_BENCH_DIR"] ?? tmpdir(), "couchestor-bench-"));
  try {
    return await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** A pool as the agent opens it, except that it does nothing by itself. */
export function openPool(folder: string, checksum: Checksum): Promise<PoolChunkStore> {
  return openPoolOn({ kind: "directory", path: `${folder}/pool` }, checksum);
}

/** The same on whatever medium. */
export async function openPoolOn(medium: MediumSpec, checksum: Checksum): Promise<PoolChunkStore> {
  const store = await openChunkStore({
    medium,
    poolName: "bench",
    nodeName: "bench",
    labels: {},
    fileSystem,
    clock: systemClock,
    prng: systemPrng,
    checksum,
    limits: { maintenanceEveryMs: 0 },
  });
  await store.adopt(clusterUuid);
  return store;
}

/** Key of chunk number `no`. */
export function keyOf(no: number): ChunkKey {
  return {
    volumeUuid,
    stripe: Math.floor(no / shards),
    shardIndex: no % shards,
    generation: 1,
    encodeEpoch: 2 ** 32,
    encodeAct: 1 + Math.floor(no / (shards * 1024)),
  };
}

/** Makes images of chunks that all hold the same random data under names of their own. */
export function imageMaker(blocks: number, checksum: Checksum): (no: number) => Uint8Array {
  const data = seededPrng(1).bytes(blocks * 4096);
  const crcs = new Uint32Array(blocks);
  checksum.crc32cBlocks(data, crcs);
  const size = blocks * 4096;
  return (no) => {
    const name = { ...keyOf(no), putEpoch: 2 ** 32, putAct: 1 };
    const fields = {
      ...name,
      clusterUuid,
      journalId: volumeUuid,
      poolUuid: zeroUuid,
      originVolumeUuid: zeroUuid,
      throughSeq: 0,
      placementVersion: 1,
      code: { family: "rs" as const, k: 4, m: 2 },
      matrixId: 1,
      stripeBytes: 4 * size,
      shardBytes: size,
      storedBytes: size,
      stripeDigest: 0,
      volumeName: "bench",
      volumeSizeBytes: 2 ** 40,
      stripesPerRun: 1024,
      policyStripeBytes: 4 * size,
    };
    const header = encodeChunkHeader(fields, crcs, checksum);
    const image = new Uint8Array(header.byteLength + size);
    image.set(header);
    image.set(data, header.byteLength);
    return image;
  };
}

/** Runs `count` calls, `depth` at a time. Returns seconds. */
export async function timed(count: number, depth: number, call: (no: number) => Promise<unknown>): Promise<number> {
  const start = systemClock.monotonicMs();
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < count) await call(next++);
  };
  await Promise.all(Array.from({ length: depth }, worker));
  return (systemClock.monotonicMs() - start) / 1000;
}

/** Makes the kernel forget what it holds of the pool's segments, so that the next reads come from the disk. */
export async function dropCaches(folder: string): Promise<void> {
  for (const name of await readdir(`${folder}/pool/segments`)) {
    const file = await fileSystem.open(`${folder}/pool/segments/${name}`, "read");
    await file.dropCache();
    await file.close();
  }
}
