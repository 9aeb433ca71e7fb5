/** Volumes whose creation stopped halfway, in an earlier process or by an error of the store: they are finished later, one that can't be holds up nobody. */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { finishCreation } from "./create.ts";
import type { Services } from "./services.ts";

/** A creation that is under way in this process is left alone for so long; one that failed is tried again after it. */
export const finishEveryMs = 10_000;

export class UnfinishedVolumes {
  readonly #services: Services;
  /** Volume uuid → monotonic time of the next attempt. */
  readonly #due = new Map<string, number>();
  readonly #running = new Map<string, Promise<void>>();
  readonly #stop = new AbortController();
  #first: Promise<void> | undefined;

  constructor(services: Services) {
    this.#services = services;
  }

  /** Begins to finish all that are there now, one after the other. A large one takes minutes, for which a new leader must not keep agents waiting. */
  start(): void {
    this.#first ??= this.#finishAll().finally(() => {
      this.#first = undefined;
    });
  }

  async #finishAll(): Promise<void> {
    for (const volume of this.#empty()) if (!this.#stop.signal.aborted) await this.#finish(volume);
  }

  /** Starts what is due. Call it often. */
  tick(): void {
    if (this.#first !== undefined) return;
    const now = this.#services.context.clock.monotonicMs();
    const empty = this.#empty();
    const uuids = new Set(empty.map((volume) => volume.spec.volumeUuid));
    for (const uuid of this.#due.keys()) if (!uuids.has(uuid)) this.#due.delete(uuid);
    for (const volume of empty) {
      const { volumeUuid } = volume.spec;
      const dueMs = this.#due.get(volumeUuid) ?? now + finishEveryMs;
      this.#due.set(volumeUuid, dueMs);
      if (dueMs <= now && !this.#running.has(volumeUuid)) void this.#finish(volume);
    }
  }

  /** What is under way ends after the runs that are being made; the next brain goes on. */
  async stop(): Promise<void> {
    this.#stop.abort(new AppError("Cancelled", "the brain stops; the next one goes on"));
    await this.#first;
    await Promise.all(this.#running.values());
  }

  #empty(): EcVolume[] {
    return this.#services.catalogue.volumes().filter(isUnfinished);
  }

  #finish(volume: EcVolume): Promise<void> {
    const { context } = this.#services;
    const { volumeUuid } = volume.spec;
    const work = finishCreation(this.#services, volume, this.#stop.signal)
      .then(() => undefined)
      .catch((error) => {
        if (this.#stop.signal.aborted) return;
        this.#due.set(volumeUuid, context.clock.monotonicMs() + finishEveryMs);
        context.log.warn({ volume: volume.metadata.name, error: String(error) }, "volume not made yet; will try again");
      })
      .finally(() => this.#running.delete(volumeUuid));
    this.#running.set(volumeUuid, work);
    return work;
  }
}

/**
 * A volume that somebody has owned was created once: if it is Empty now, somebody edited its status, and runs made anew would read as zeros
 * where there is data.
 */
function isUnfinished({ status }: EcVolume): boolean {
  return status?.phase === "Empty" && status.ownership.owner.epoch === 0 && (status.highestEpochSeen ?? 0) === 0;
}
