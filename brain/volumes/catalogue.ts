/**
 * The volumes and runs of this brain: every write goes through here, so that the store and the memory index say the same; what others write
 * is followed.
 */
import { type EcStripe, type EcStripeStatus, ecStripeKind } from "@couchestor/common/crd/ec-stripe.ts";
import { type EcVolume, ecVolumeKind } from "@couchestor/common/crd/ec-volume.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { BrainContext } from "../ports.ts";
import type { ResourceStore } from "../store/ports.ts";
import { Follower } from "./follower.ts";
import { RunIndex } from "./run-index.ts";
import { runView, volumeView } from "./store-views.ts";
import { VolumeIndex } from "./volume-index.ts";

/** Attempts of one compare-and-swap before the caller is told to try again. */
const swapAttemptsMax = 16;
const listAttemptsMax = 5;

export class Catalogue {
  readonly runs = new RunIndex();
  readonly #store: ResourceStore;
  readonly #volumes: VolumeIndex;
  readonly #followers: readonly Pick<Follower<unknown, unknown>, "load" | "start" | "stop">[];

  constructor(context: Pick<BrainContext, "store" | "clock" | "log">) {
    this.#store = context.store;
    this.#volumes = new VolumeIndex();
    this.#followers = [
      new Follower(context, ecVolumeKind, volumeView(this.#volumes, context.log)),
      new Follower(context, ecStripeKind, runView(this.runs, this.#volumes, context.log)),
    ];
  }

  /** Reads everything once. */
  async load(): Promise<void> {
    for (const follower of this.#followers) await follower.load();
  }

  /** Follows what others write from here on. */
  follow(): void {
    for (const follower of this.#followers) follower.start();
  }

  /** Ends the following. */
  async stop(): Promise<void> {
    await Promise.all(this.#followers.map((follower) => follower.stop()));
  }

  volumes(): EcVolume[] {
    return this.#volumes.all();
  }

  volumeByUuid(volumeUuid: string): EcVolume | undefined {
    return this.#volumes.byUuid(volumeUuid);
  }

  volumeByName(name: string): EcVolume | undefined {
    return this.#volumes.byName(name);
  }

  /** Why nothing is to be written to or removed of a run: somebody changed it, or its volume, by hand. Undefined if nobody did. */
  whyHeld(volumeUuid: string, runName: string): string | undefined {
    return this.#volumes.whyHeld(volumeUuid) ?? this.runs.whyHeld(volumeUuid, runName);
  }

  /** The volume of that name from memory, or `NotFound`. */
  volume(name: string): EcVolume {
    const volume = this.#volumes.byName(name);
    if (!volume)
      throw new AppError("NotFound", `volume ${name}: there is none of this name`, { data: { volume: name } });
    return volume;
  }

  /** The volume's current object from the store. */
  async freshVolume(name: string): Promise<EcVolume> {
    const volume = await this.#store.get(ecVolumeKind, name);
    // A read that was under way while the volume was removed may have put it back into memory.
    if (!volume) this.#volumes.removeName(name);
    if (!volume)
      throw new AppError("NotFound", `volume ${name}: there is none of this name`, { data: { volume: name } });
    if (volume.status === undefined) throw withoutStatus(name);
    return this.#note(volume);
  }

  async createVolume(volume: EcVolume): Promise<EcVolume> {
    try {
      return this.#note(await this.#store.create(ecVolumeKind, volume));
    } catch (error) {
      if (!isAppError(error, "AlreadyExists")) throw error;
      throw new AppError("AlreadyExists", `volume ${volume.metadata.name}: a volume of this name exists`, {
        data: { field: "name", got: volume.metadata.name },
        cause: error,
      });
    }
  }

  /** Replaces a volume's status by compare-and-swap. `change` sees the current object and returns undefined to leave it. */
  async swapVolumeStatus(
    name: string,
    change: (current: EcVolume) => EcVolume["status"] | undefined,
  ): Promise<EcVolume> {
    for (let attempt = 0; attempt < swapAttemptsMax; attempt++) {
      const current = await this.freshVolume(name);
      const status = change(current);
      if (!status) return current;
      try {
        return this.#note(await this.#store.updateStatus(ecVolumeKind, { ...current, status }));
      } catch (error) {
        if (!isAppError(error, "Conflict")) throw error;
      }
    }
    throw contended(name);
  }

  /** Removes the volume's object, and none that somebody made under its name since. */
  async removeVolume(volume: EcVolume): Promise<void> {
    const { name } = volume.metadata;
    for (let attempt = 0; attempt < swapAttemptsMax; attempt++) {
      const current = await this.#store.get(ecVolumeKind, name);
      const isThere = current?.spec.volumeUuid === volume.spec.volumeUuid;
      try {
        if (isThere) await this.#store.delete(ecVolumeKind, name, current.metadata.resourceVersion);
      } catch (error) {
        if (isAppError(error, "Conflict")) continue;
        ignoreNotFound(error);
      }
      this.#volumes.remove(volume);
      return;
    }
    throw contended(name);
  }

  /** The run's current object from the store; undefined if there is none. */
  async freshRun(name: string): Promise<EcStripe | undefined> {
    const run = await this.#store.get(ecStripeKind, name);
    if (run) this.runs.apply(run);
    else this.runs.forget(name);
    return run;
  }

  /**
   * Creates a run; one that is there already (of the same volume) is left as it is. One never written that an earlier volume of this name left behind is
   * replaced; with data it would be somebody's, and `AlreadyExists` says so.
   */
  async ensureRun(run: EcStripe): Promise<EcStripe> {
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#noteRun(await this.#store.create(ecStripeKind, run));
      } catch (error) {
        if (!isAppError(error, "AlreadyExists")) throw error;
        const there = await this.freshRun(run.metadata.name);
        if (there?.spec.volumeUuid === run.spec.volumeUuid) return there;
        if (attempt >= swapAttemptsMax || (there && !(await this.#isLeftover(there, run)))) throw error;
        if (there) await this.removeRun(there);
      }
    }
  }

  /** Whether `there`, which has the name of `run`, was never written and belongs to a volume that is gone: `run`'s volume has its name. */
  async #isLeftover(there: EcStripe, run: EcStripe): Promise<boolean> {
    if (there.spec.generation > 0 || there.spec.volumeRef !== run.spec.volumeRef) return false;
    const owner = await this.#store.get(ecVolumeKind, run.spec.volumeRef);
    return owner?.spec.volumeUuid === run.spec.volumeUuid;
  }

  /** One compare-and-swap of a run's spec on the object as read. `Conflict` when it has changed since. */
  async updateRun(run: EcStripe): Promise<EcStripe> {
    return this.#noteRun(await this.#store.update(ecStripeKind, run));
  }

  /** Replaces a run's status by compare-and-swap; `change` returns undefined to leave it. */
  async swapRunStatus(name: string, change: (current: EcStripe) => EcStripeStatus | undefined): Promise<void> {
    for (let attempt = 0; attempt < swapAttemptsMax; attempt++) {
      const current = await this.freshRun(name);
      const status = current && change(current);
      if (!current || !status) return;
      try {
        this.#noteRun(await this.#store.updateStatus(ecStripeKind, { ...current, status }));
        return;
      } catch (error) {
        if (!isAppError(error, "Conflict")) throw error;
      }
    }
    throw contended(name);
  }

  /** All runs of a volume as the store has them now. */
  freshRuns(volume: EcVolume): Promise<EcStripe[]> {
    return this.mapFreshRuns(volume, (run) => run);
  }

  /** What `of` takes of each, so that not all are in memory at once. It may see a run twice, when the store has to begin anew. */
  async mapFreshRuns<V>(volume: EcVolume, of: (run: EcStripe) => V): Promise<V[]> {
    const namePrefix = `${volume.metadata.name}-`;
    const { volumeUuid } = volume.spec;
    for (let attempt = 1; ; attempt++) {
      const taken: V[] = [];
      try {
        for await (const { items } of this.#store.pages(ecStripeKind, { namePrefix, fields: { volumeUuid } })) {
          for (const run of items) taken.push(of(run));
        }
        return taken;
      } catch (error) {
        if (!isAppError(error, "Conflict") || attempt === listAttemptsMax) throw error;
      }
    }
  }

  /** Removes a run's object, unless it changed since `run` was read (`Conflict`). */
  async removeRun(run: EcStripe): Promise<void> {
    await this.#store.delete(ecStripeKind, run.metadata.name, run.metadata.resourceVersion).catch(ignoreNotFound);
    this.runs.remove(run.spec.volumeUuid, run.metadata.name);
  }

  #note(volume: EcVolume): EcVolume {
    this.#volumes.put(volume);
    return volume;
  }

  #noteRun(run: EcStripe): EcStripe {
    this.runs.apply(run);
    return run;
  }
}

function ignoreNotFound(error: unknown): void {
  if (!isAppError(error, "NotFound")) throw error;
}

/** Of two writes that a creation takes in Kubernetes only the first was made; or somebody made the object, or put it back from a backup without its status. */
function withoutStatus(name: string): AppError {
  return new AppError(
    "FailedPrecondition",
    `volume ${name}: its ECVolume has no status, so its creation has not ended, or it was made by hand. If that stays so and there is no ECStripe of it ` +
      `(kubectl get ecstripes --field-selector spec.volumeRef=${name}), delete it: kubectl delete ecvolume ${name}`,
    { data: { volume: name } },
  );
}

function contended(name: string): AppError {
  return new AppError("Unavailable", `${name}: changed ${swapAttemptsMax} times while it was being written; try again`);
}
