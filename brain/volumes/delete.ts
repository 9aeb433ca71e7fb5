/**
 * Deletion of a volume, in steps that a restarted brain takes up again: phase Deleting; a tombstone; its acts dropped; then run by run its chunks deleted
 * by full name where they can be reached, and the run's object; at last the volume's object. What pools that are away still hold, and what dead acts left,
 * the tombstone lets garbage collection remove.
 */

import type { EcStripe } from "@couchestor/common/crd/ec-stripe.ts";
import { currentPlacement } from "@couchestor/common/crd/ec-stripe.ts";
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import { committedColumns } from "../acts/chunk-columns.ts";
import { fenceRun } from "./commit.ts";
import type { Services } from "./services.ts";
import type { Tombstones } from "./tombstone.ts";

const backoffMsMin = 500;
const backoffMsMax = 60_000;

export class VolumeDeleter {
  readonly #services: Services;
  readonly #tombstones: Tombstones;
  readonly #running = new Map<string, Promise<void>>();
  #stopping = false;
  /** Volume uuid → deletions that failed, and when the next may start. */
  readonly #held = new Map<string, { failures: number; notBeforeMs: number }>();

  constructor(services: Services, tombstones: Tombstones) {
    this.#services = services;
    this.#tombstones = tombstones;
  }

  /** Durable on return: the volume is Deleting, and will be gone even if this brain stops now. */
  async request(name: string): Promise<EcVolume> {
    const volume = await this.#services.catalogue.swapVolumeStatus(name, (current) => {
      const status = must(current.status, "the volume's status");
      return status.phase === "Deleting" ? undefined : { ...status, phase: "Deleting" };
    });
    this.start(volume);
    return volume;
  }

  /** Goes on with every volume that is Deleting. Call it often. */
  tick(): void {
    const now = this.#services.context.clock.monotonicMs();
    for (const volume of this.#services.catalogue.volumes()) {
      if (volume.status?.phase !== "Deleting") continue;
      if ((this.#held.get(volume.spec.volumeUuid)?.notBeforeMs ?? 0) <= now) this.start(volume);
    }
  }

  start(volume: EcVolume): void {
    const { volumeUuid } = volume.spec;
    if (this.#running.has(volumeUuid)) return;
    const work = this.#remove(volume)
      .then(() => void this.#held.delete(volumeUuid))
      .catch((error) => this.#hold(volume, error))
      .finally(() => this.#running.delete(volumeUuid));
    this.#running.set(volumeUuid, work);
  }

  #hold(volume: EcVolume, error: unknown): void {
    if (this.#stopping) return;
    const { clock, log } = this.#services.context;
    const failures = (this.#held.get(volume.spec.volumeUuid)?.failures ?? 0) + 1;
    const backoffMs = Math.min(backoffMsMax, backoffMsMin * 2 ** (failures - 1));
    this.#held.set(volume.spec.volumeUuid, { failures, notBeforeMs: clock.monotonicMs() + backoffMs });
    log.warn({ volume: volume.metadata.name, backoffMs, error: String(error) }, "deletion goes on later");
  }

  /** Waits for the deletions that are under way. */
  async settle(): Promise<void> {
    await Promise.all([...this.#running.values()]);
  }

  /** As `settle`, and what is under way ends after the run that is being removed; the next brain goes on. */
  async stop(): Promise<void> {
    this.#stopping = true;
    await this.settle();
  }

  async #remove(volume: EcVolume): Promise<void> {
    const { catalogue, ownership, acts, context } = this.#services;
    const { volumeUuid } = volume.spec;
    const epoch = await ownership.epochOf(volume);
    await acts.dropAll((record) => record.act.volumeUuid === volumeUuid, "the volume is being deleted");
    const pools = this.#knownPools();
    const names = () =>
      catalogue.mapFreshRuns(volume, (run) => {
        addPoolsOf(run, pools);
        return run.metadata.name;
      });
    let runs = await names();
    await this.#tombstones.put({ volumeUuid, name: volume.metadata.name, epoch, deletedAt: isoNow(context.clock) }, [
      ...pools,
    ]);
    // Its creation may still be making runs: one that stays would keep the name from the next volume.
    for (; runs.length > 0; runs = await names()) {
      for (const name of runs) {
        if (this.#stopping) throw new AppError("Cancelled", "the brain stops; the next one goes on");
        await this.#removeRun(name, volumeUuid, epoch);
      }
    }
    await catalogue.removeVolume(volume);
    ownership.forget(volumeUuid);
    context.log.info({ volume: volume.metadata.name, volumeUuid }, "volume deleted");
  }

  /** The list of names may be old by now: one that somebody removed by hand may have been made again, for another volume of that name. */
  async #removeRun(name: string, volumeUuid: string, epoch: number): Promise<void> {
    const { catalogue, orders, inventory, context } = this.#services;
    for (;;) {
      const run = await fenceRun(catalogue, name, epoch, false, volumeUuid);
      if (!run) return;
      const columns = committedColumns(run.spec, { reason: "volume-deleted", orderedBy: { epoch, actNo: 0 } });
      for (const column of columns) {
        if (inventory.host(column.poolUuid)?.node.state !== "Online") continue;
        await orders.deleteNow(column).catch((error) => {
          context.log.debug({ poolUuid: column.poolUuid, error: String(error) }, "chunks left to garbage collection");
        });
      }
      try {
        await catalogue.removeRun(run);
        return;
      } catch (error) {
        if (!isAppError(error, "Conflict")) throw error;
      }
    }
  }

  /** Every pool the cluster knows, because an act that died may have put chunks anywhere; the runs may name others. */
  #knownPools(): Set<string> {
    const pools = new Set<string>();
    for (const node of this.#services.inventory.nodes()) {
      for (const pool of node.heartbeat?.pools ?? node.stored?.pools ?? []) pools.add(pool.poolUuid);
    }
    return pools;
  }
}

function addPoolsOf({ spec }: EcStripe, pools: Set<string>): void {
  for (const l of currentPlacement(spec)?.shardLocations ?? []) pools.add(l.poolUuid);
  for (const e of spec.exceptions) pools.add(e.poolUuid);
}
