/** What a pool does by itself now and then: looks whether its medium is there and has room, compacts, and renews the index snapshot. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { CommitQueue } from "./commit-queue.ts";
import { compactionVictims, compactSegments } from "./compaction.ts";
import type { Pool } from "./pool.ts";
import type { SegmentLog } from "./segment-log.ts";
import type { SpaceGuard } from "./space.ts";

export interface MaintenanceParts {
  pool: Pool;
  queue: CommitQueue;
  log: SegmentLog;
  space: SpaceGuard;
  snapshot: () => Promise<void>;
}

/** With less than this part of the capacity free, a segment with any garbage worth the copying is compacted. */
const lowSpaceRatio = 0.1;
const lowSpaceGarbageRatio = 0.15;

export class Maintenance {
  readonly #parts: MaintenanceParts;
  readonly #stop = new AbortController();
  #cancelTimer: () => void = () => {};
  #round: Promise<void> = Promise.resolve();
  #compacting: Promise<unknown> = Promise.resolve();
  #snapshotting: Promise<unknown> = Promise.resolve();
  #changesAtSnapshot: number;

  constructor(parts: MaintenanceParts) {
    this.#parts = parts;
    this.#changesAtSnapshot = parts.pool.map.changes;
  }

  start(): void {
    const { clock, limits } = this.#parts.pool;
    if (limits.maintenanceEveryMs === 0 || this.#stop.signal.aborted) return;
    this.#cancelTimer = clock.after(limits.maintenanceEveryMs, () => {
      this.#round = this.#run().finally(() => this.start());
    });
  }

  /** Ends the round under way at its next step. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#cancelTimer();
    await this.#round;
    await this.#compacting;
    await this.#snapshotting;
  }

  /** One compaction at a time. */
  exclusive<T>(run: () => Promise<T>): Promise<T> {
    const result = this.#compacting.then(run);
    this.#compacting = result.catch(() => {});
    return result;
  }

  /** One snapshot at a time. */
  oneSnapshot(run: () => Promise<void>): Promise<void> {
    const result = this.#snapshotting.then(() => {
      this.#changesAtSnapshot = this.#parts.pool.map.changes;
      return run();
    });
    this.#snapshotting = result.catch(() => {});
    return result;
  }

  async #run(): Promise<void> {
    const { pool, snapshot } = this.#parts;
    try {
      await this.#look();
      if (pool.health.state !== "Online" && pool.health.state !== "Full") return;
      await this.#compact();
      const due = Math.max(pool.limits.snapshotEveryRecords, pool.map.index.count / 4);
      if (pool.medium.snapshots && pool.map.changes - this.#changesAtSnapshot >= due) await snapshot();
    } catch (error) {
      pool.log.warn("maintenance of a pool failed", { pool: pool.name, error: String(error) });
    }
  }

  /** A medium that vanished is noticed although nobody writes. */
  async #look(): Promise<void> {
    const { pool, space } = this.#parts;
    try {
      await pool.medium.checkPresent(undefined);
      await space.refresh();
    } catch (error) {
      if (!(error instanceof FileSystemError)) throw error;
      pool.health.stopWrites("looking at the medium failed", error);
    }
  }

  async #compact(): Promise<void> {
    const { pool, queue, log, space } = this.#parts;
    const { capacityBytes, freeBytes } = space.figures;
    const low = freeBytes < capacityBytes * lowSpaceRatio;
    const ratio = low
      ? Math.min(lowSpaceGarbageRatio, pool.limits.compactGarbageRatio)
      : pool.limits.compactGarbageRatio;
    const victims = compactionVictims(pool, log.activeSegmentId, ratio);
    if (victims.length === 0) return;
    await this.exclusive(() => compactSegments({ pool, queue, log }, victims, this.#stop.signal));
    await space.refresh();
  }
}
