/** The parts of an open pool put together behind the `ChunkStore` port. */
import type { ChunkInfo, ChunkKey, ChunkName, DeleteRequest, PutAnswer } from "@couchestor/common/api/chunks.ts";
import type { PoolInfo } from "@couchestor/common/api/nodes.ts";
import { uuidSchema, zeroUuid } from "@couchestor/common/api/primitives.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { deleteChunks } from "./chunk-delete.ts";
import { type ListPage, listChunks, stateOf } from "./chunk-list.ts";
import { putChunk } from "./chunk-put.ts";
import { getBlocks, readInfo, readWhole } from "./chunk-reader.ts";
import { CommitQueue } from "./commit-queue.ts";
import { type CompactionResult, compactionVictims, compactSegments } from "./compaction.ts";
import { Maintenance } from "./maintenance.ts";
import type { Medium } from "./medium.ts";
import { noteDamage, type Pool, type PoolLog } from "./pool.ts";
import type { ChunkStoreOptions, ChunkStoreStats, PoolChunkStore } from "./pool-chunk-store.ts";
import { PoolHealth } from "./pool-health.ts";
import type { PoolLimits } from "./pool-limits.ts";
import type { ChunkState, VerifiedBlocks } from "./ports.ts";
import { unreadable } from "./record-scanner.ts";
import type { Recovered } from "./recovery.ts";
import { SegmentLog } from "./segment-log.ts";
import { saveSnapshot } from "./snapshot.ts";
import { SpaceGuard } from "./space.ts";

const silent: PoolLog = { info: () => {}, warn: () => {} };

/** An open pool. Made by `openChunkStore` alone. */
export class LogChunkStore implements PoolChunkStore {
  readonly #options: ChunkStoreOptions;
  readonly #pool: Pool;
  readonly #log: SegmentLog;
  readonly #queue: CommitQueue;
  readonly #space: SpaceGuard;
  readonly #maintenance: Maintenance;
  readonly #recovered: Pick<Recovered, "from" | "scannedSegments">;
  readonly #lock: { release(): Promise<void> };
  #adopting: Promise<unknown> = Promise.resolve();
  #closed: Promise<void> | undefined;

  constructor(
    options: ChunkStoreOptions,
    limits: PoolLimits,
    medium: Medium,
    recovered: Recovered,
    lock: { release(): Promise<void> },
  ) {
    this.#options = options;
    const name = options.poolName;
    this.#pool = {
      name,
      medium,
      map: recovered.map,
      health: new PoolHealth(name),
      limits,
      checksum: options.checksum,
      clock: options.clock,
      log: options.log ?? silent,
      damage: [],
    };
    this.#recovered = { from: recovered.from, scannedSegments: recovered.scannedSegments };
    this.#lock = lock;
    this.#log = new SegmentLog(this.#pool, recovered.appendAt, recovered.lastSegmentId);
    this.#queue = new CommitQueue(this.#pool, this.#log);
    this.#space = new SpaceGuard(this.#pool, this.#log);
    this.#maintenance = new Maintenance({
      pool: this.#pool,
      queue: this.#queue,
      log: this.#log,
      space: this.#space,
      snapshot: () => this.snapshot(),
    });
    for (const range of recovered.damage) noteDamage(this.#pool, range);
  }

  async begin(): Promise<void> {
    const pool = this.#pool;
    await this.#space.refresh();
    pool.log.info("pool opened", {
      pool: pool.name,
      from: this.#recovered.from,
      chunks: pool.map.index.count,
      scannedSegments: this.#recovered.scannedSegments,
      damaged: pool.damage.length,
    });
    this.#maintenance.start();
  }

  get poolUuid(): string {
    return this.#pool.medium.superblock.poolUuid;
  }

  info(): PoolInfo {
    const { medium, health, map } = this.#pool;
    const { capacityBytes, usedBytes, freeBytes } = this.#space.figures;
    const { reason } = health;
    return {
      poolUuid: this.poolUuid,
      poolName: this.#options.poolName,
      kind: medium.kind,
      labels: this.#options.labels,
      state: health.state,
      ...(reason === undefined ? {} : { reason }),
      clusterUuid: medium.superblock.clusterUuid,
      capacityBytes,
      usedBytes,
      freeBytes: health.state === "Online" ? freeBytes : 0,
      liveBytes: map.liveBytes,
      chunkCount: map.index.count,
    };
  }

  stats(): ChunkStoreStats {
    const { map, damage } = this.#pool;
    return {
      openedFrom: this.#recovered.from,
      scannedSegments: this.#recovered.scannedSegments,
      segments: map.segments.size,
      indexBytes: map.index.memoryBytes,
      queuedBytes: this.#queue.queuedBytes,
      damage,
    };
  }

  segmentIds(): number[] {
    return [...this.#pool.map.segments.keys()];
  }

  async put(image: Uint8Array): Promise<PutAnswer> {
    this.#checkOpen();
    return putChunk({ pool: this.#pool, queue: this.#queue, space: this.#space }, image);
  }

  async get(key: ChunkKey, firstBlock: number, blockCount: number): Promise<VerifiedBlocks> {
    this.#checkOpen();
    return getBlocks(this.#pool, key, firstBlock, blockCount);
  }

  async verify(key: ChunkKey | ChunkName): Promise<{ state: ChunkState; info?: ChunkInfo }> {
    this.#checkOpen();
    const { index } = this.#pool.map;
    let worst: { state: ChunkState; info?: ChunkInfo } = { state: "absent" };
    for (const name of index.findKey(key).map((row) => index.nameAt(row))) {
      if ("putAct" in key && (name.putEpoch !== key.putEpoch || name.putAct !== key.putAct)) continue;
      try {
        const chunk = await readWhole(this.#pool, name);
        if (chunk) return { state: "ok", info: chunk.info };
      } catch (error) {
        const info = await readInfo(this.#pool, name);
        worst = { state: stateOf(error), ...(info ? { info } : {}) };
      }
    }
    return worst;
  }

  async delete(request: DeleteRequest): Promise<{ deleted: number; absent: number }> {
    this.#checkOpen();
    return deleteChunks({ pool: this.#pool, queue: this.#queue }, request);
  }

  async list(options: { after?: string | undefined; limit: number; verify?: boolean }): Promise<ListPage> {
    this.#checkOpen();
    return listChunks(this.#pool, options);
  }

  has(name: ChunkName): boolean {
    return this.#pool.map.index.findName(name) >= 0;
  }

  async adopt(clusterUuid: string): Promise<void> {
    this.#checkOpen();
    if (!uuidSchema.safeParse(clusterUuid).success || clusterUuid === zeroUuid)
      throw new AppError(
        "InvalidArgument",
        `clusterUuid: got "${clusterUuid}", allowed: a UUID in lower case, not zero`,
      );
    const adopting = this.#adopting.then(() => this.#adopt(clusterUuid));
    this.#adopting = adopting.catch(() => {});
    await adopting;
  }

  async #adopt(clusterUuid: string): Promise<void> {
    const { medium, health, name } = this.#pool;
    const bound = medium.superblock.clusterUuid;
    if (bound === clusterUuid) return;
    if (bound !== zeroUuid)
      throw new AppError(
        "WrongCluster",
        `pool ${name} belongs to cluster ${bound}, not to ${clusterUuid}; nothing was changed`,
        {
          data: { field: "clusterUuid", got: clusterUuid, allowed: bound },
        },
      );
    health.checkWritable();
    try {
      await medium.writeSuperblock({ ...medium.superblock, clusterUuid });
    } catch (error) {
      health.stopWrites("writing the superblock failed", error);
      throw health.asAppError(error);
    }
  }

  async compact(segmentIds?: readonly number[]): Promise<CompactionResult> {
    this.#checkOpen();
    const victims =
      segmentIds ?? compactionVictims(this.#pool, this.#log.activeSegmentId, this.#pool.limits.compactGarbageRatio);
    try {
      return await this.#maintenance.exclusive(() =>
        compactSegments({ pool: this.#pool, queue: this.#queue, log: this.#log }, victims),
      );
    } finally {
      await this.#space.refresh().catch(() => {});
    }
  }

  async snapshot(): Promise<void> {
    await this.#snapshot(false);
  }

  async #snapshot(clean: boolean): Promise<void> {
    const { medium, map, checksum, damage } = this.#pool;
    if (!medium.snapshots) return;
    // An index without what lies in blocks that can't be read now would be believed when they can be read again.
    if (damage.some(({ what }) => what === unreadable)) return;
    const place = medium.snapshots;
    await this.#maintenance.oneSnapshot(() =>
      saveSnapshot({
        place,
        map,
        poolUuid: this.poolUuid,
        clean,
        activeSegmentId: this.#log.activeSegmentId,
        checksum,
      }),
    );
  }

  /** Lets what was begun finish, writes a snapshot, and lets go of the medium. Later calls are refused. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    await this.#maintenance.stop();
    await this.#queue.idle();
    await this.#adopting;
    const { health, log, name, medium } = this.#pool;
    try {
      if (health.state === "Online" || health.state === "Full") await this.#snapshot(true);
    } catch (error) {
      // The next start scans instead.
      log.warn("no snapshot was written on closing", { pool: name, error: String(error) });
    }
    await medium
      .close()
      .catch((error: unknown) => log.warn("closing a medium failed", { pool: name, error: String(error) }));
    await this.#lock.release();
  }

  #checkOpen(): void {
    if (this.#closed) throw new AppError("Unavailable", `pool ${this.#pool.name} is closed`, { retryable: false });
  }
}
