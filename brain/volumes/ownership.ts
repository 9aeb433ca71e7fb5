/**
 * Ownership of volumes: before this brain grants an act on a volume it takes an epoch of its own by compare-and-swap [E1][E2], once per process.
 * One that finds a later owner stops acting on the volume [E4].
 */
import type { EcVolume, EcVolumeStatus } from "@couchestor/common/crd/ec-volume.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { must } from "@couchestor/common/runtime/assert.ts";
import type { BrainContext } from "../ports.ts";
import type { Catalogue } from "./catalogue.ts";

export const grantUnit = 2 ** 32;

export class Ownership {
  readonly #context: BrainContext;
  readonly #catalogue: Catalogue;
  /** Volume uuid → this process's epoch, or the attempt to get it. */
  readonly #epochs = new Map<string, Promise<number>>();
  readonly #fenced = new Map<string, number>();

  constructor(context: BrainContext, catalogue: Catalogue) {
    this.#context = context;
    this.#catalogue = catalogue;
  }

  /** This process's epoch for the volume; takes it if need be. `FailedPrecondition` when another brain has taken the volume since. */
  async epochOf(volume: EcVolume): Promise<number> {
    const { volumeUuid } = volume.spec;
    const fencedBy = this.#fenced.get(volumeUuid);
    if (fencedBy !== undefined) throw fencedError(volume.metadata.name, fencedBy);
    let taking = this.#epochs.get(volumeUuid);
    if (!taking) {
      taking = this.#take(volume);
      this.#epochs.set(volumeUuid, taking);
      taking.catch(() => this.#epochs.delete(volumeUuid));
    }
    const epoch = await taking;
    this.checkStillMine(this.#catalogue.volumeByUuid(volumeUuid) ?? volume, epoch);
    return epoch;
  }

  /** Reads the record again before something is committed: a brain that has been superseded finds out here at the latest. */
  async confirm(volume: EcVolume): Promise<void> {
    await this.epochOf(await this.#catalogue.freshVolume(volume.metadata.name));
  }

  /** Takes another epoch above `seen`, which a chunk showed: the record was put back to an older state [E3]. Returns this process's epoch from now on. */
  async raiseAbove(volume: EcVolume, seen: number): Promise<number> {
    const mine = await this.epochOf(volume);
    if (mine > seen) return mine;
    const epoch = await this.#take(volume, seen);
    this.#epochs.set(volume.spec.volumeUuid, Promise.resolve(epoch));
    return epoch;
  }

  /** Throws if the object names a later owner; from then on this process leaves the volume alone. */
  checkStillMine(volume: EcVolume, epoch: number): void {
    const owner = volume.status?.ownership.owner;
    if (!owner || owner.epoch <= epoch || owner.instanceUuid === this.#context.instanceUuid) return;
    if (!this.#fenced.has(volume.spec.volumeUuid)) {
      this.#context.log.error(
        { volume: volume.metadata.name, epoch, laterEpoch: owner.epoch, by: owner.instanceUuid },
        "another brain has taken this volume; this one leaves it alone",
      );
    }
    this.#fenced.set(volume.spec.volumeUuid, owner.epoch);
    throw fencedError(volume.metadata.name, owner.epoch);
  }

  /** How many volumes another brain has taken from this one. */
  get fencedCount(): number {
    return this.#fenced.size;
  }

  forget(volumeUuid: string): void {
    this.#epochs.delete(volumeUuid);
    this.#fenced.delete(volumeUuid);
  }

  async #take(volume: EcVolume, seen = 0): Promise<number> {
    const after = await this.#catalogue.swapVolumeStatus(volume.metadata.name, (current) => {
      if (current.spec.volumeUuid !== volume.spec.volumeUuid) {
        throw new AppError("NotFound", `volume ${volume.metadata.name} was replaced by another of its name`);
      }
      const status = must(current.status, "the volume's status");
      const { owner } = status.ownership;
      const isMine = owner.instanceUuid === this.#context.instanceUuid;
      if (isMine && owner.epoch > seen) return undefined;
      if (!isMine && seen > 0) throw fencedError(volume.metadata.name, owner.epoch);
      const highestEpochSeen = Math.max(status.highestEpochSeen ?? 0, seen);
      const known = highestEpochSeen > 0 ? { ...status, highestEpochSeen } : status;
      return { ...known, ownership: { ...status.ownership, owner: this.#nextOwner(known) } };
    });
    const epoch = must(after.status, "the volume's status").ownership.owner.epoch;
    this.#context.log.info({ volume: volume.metadata.name, epoch }, "took the volume as maintenance owner");
    return epoch;
  }

  #nextOwner(status: EcVolumeStatus): EcVolumeStatus["ownership"]["owner"] {
    return {
      kind: "maintenance",
      nodeName: "brain",
      instanceUuid: this.#context.instanceUuid,
      epoch: nextEpoch(status),
    };
  }
}

/** The first epoch of the next grant above every epoch that was ever seen [E3]. */
export function nextEpoch(status: EcVolumeStatus): number {
  const { owner, journal } = status.ownership;
  const highest = Math.max(owner.epoch, journal.changedInEpoch, status.highestEpochSeen ?? 0);
  const next = (Math.floor(highest / grantUnit) + 1) * grantUnit;
  if (!Number.isSafeInteger(next)) throw new AppError("FailedPrecondition", "the volume has used up all its epochs");
  return next;
}

function fencedError(name: string, epoch: number): AppError {
  return new AppError(
    "FailedPrecondition",
    `volume ${name}: another brain took it with epoch ${epoch}. Stop one of the two, then restart the one that is to go on`,
    { data: { volume: name, epoch } },
  );
}
