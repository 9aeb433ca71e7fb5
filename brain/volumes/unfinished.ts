/** Volumes whose creation stopped halfway, in an earlier process or by an error of the store: they are finished later, one that can't be holds up nobody. */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { finishCreation } from "./create.ts";
import type { Services } from "./services.ts";

/** A creation that is under way in this process is left alone for so long; one that failed is tried again after it. */
export const finishEveryMs = 10_000;

export class UnfinishedVolumes {
  readonly #services: Services;
  /** Volume uuid → monotonic time of the next attempt. */
  readonly #due = new Map<string, number>();
  readonly #running = new Map<string, Promise<void>>();

  constructor(services: Services) {
    this.#services = services;
  }

  /** Finishes all that are there now, and waits. Never throws. */
  async finishAll(): Promise<void> {
    for (const volume of this.#empty()) await this.#finish(volume);
  }

  /** Starts what is due. Call it often. */
  tick(): void {
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

  async settle(): Promise<void> {
    await Promise.all(this.#running.values());
  }

  #empty(): EcVolume[] {
    return this.#services.catalogue.volumes().filter(isUnfinished);
  }

  #finish(volume: EcVolume): Promise<void> {
    const { context } = this.#services;
    const { volumeUuid } = volume.spec;
    const work = finishCreation(this.#services, volume)
      .then(() => undefined)
      .catch((error) => {
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
