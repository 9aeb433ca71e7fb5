/**
 * What is left of a deleted volume: proof that its chunks are garbage, for the pools that were away when it went and for acts that died halfway. Once
 * every pool it names has been swept it is only kept so that a late PUT is known for what it is, and a recovery does not bring the volume back: the newest so many.
 */
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { type Tombstone, type TombstoneSpec, tombstoneKind } from "@couchestor/common/crd/volume-tombstone.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { ResourceStore, Unreadable } from "../store/ports.ts";
import { readAll } from "../store/read-all.ts";

/** Tombstones that no pool waits for. */
export const restingMax = 4096;

const isPending = (stone: Tombstone): boolean => (stone.status?.pendingPools.length ?? 0) > 0;

export class Tombstones {
  readonly #store: ResourceStore;
  readonly #byVolume = new Map<string, Tombstone>();

  readonly #restingMax: number;

  readonly #unreadable: Unreadable;

  /** `unreadable` is told of one that was spoilt by hand: without it its chunks are proven garbage by nothing, and stay. */
  constructor(store: ResourceStore, unreadable: Unreadable, max = restingMax) {
    this.#store = store;
    this.#unreadable = unreadable;
    this.#restingMax = max;
  }

  async load(): Promise<void> {
    for (const stone of await readAll(this.#store, tombstoneKind, this.#unreadable))
      this.#byVolume.set(stone.spec.volumeUuid, stone);
  }

  of(volumeUuid: string): Tombstone | undefined {
    return this.#byVolume.get(volumeUuid);
  }

  /** Deleted volumes of which some pool may hold chunks yet. */
  get count(): number {
    return this.pending().length;
  }

  /** Durable on return. The same again leaves what is there. */
  async put(spec: TombstoneSpec, pendingPools: readonly string[]): Promise<void> {
    const status = { pendingPools: [...pendingPools], sweptPools: 0 };
    const stone = { apiVersion, kind: tombstoneKind.kind, metadata: { name: spec.volumeUuid }, spec, status };
    try {
      this.#byVolume.set(spec.volumeUuid, await this.#store.create(tombstoneKind, stone));
    } catch (error) {
      if (!isAppError(error, "AlreadyExists")) throw error;
      const there = await this.#store.get(tombstoneKind, spec.volumeUuid);
      if (!there) throw error;
      // A store that writes the status by itself may have come no further: without it nothing would wait for any pool.
      const whole = there.status ? there : await this.#store.updateStatus(tombstoneKind, { ...there, status });
      this.#byVolume.set(spec.volumeUuid, whole);
    }
  }

  /** Notes that a pool, swept from `startedIso` on, holds nothing of any volume deleted before that. */
  async swept(poolUuid: string, stones: readonly Tombstone[]): Promise<void> {
    for (const { spec } of stones) {
      const current = await this.#store.get(tombstoneKind, spec.volumeUuid);
      // Deleted by hand: nothing is left to wait for.
      if (!current) this.#byVolume.delete(spec.volumeUuid);
      if (!current?.status) continue;
      const pendingPools = current.status.pendingPools.filter((p) => p !== poolUuid);
      if (pendingPools.length < current.status.pendingPools.length) {
        const status = { pendingPools, sweptPools: current.status.sweptPools + 1 };
        this.#byVolume.set(spec.volumeUuid, await this.#store.updateStatus(tombstoneKind, { ...current, status }));
      }
    }
    await this.#forgetOldest();
  }

  /** Those that some pool is yet to be swept for. */
  pending(): Tombstone[] {
    return [...this.#byVolume.values()].filter(isPending);
  }

  async #forgetOldest(): Promise<void> {
    if (this.#byVolume.size <= this.#restingMax) return;
    const resting = [...this.#byVolume.values()].filter((stone) => !isPending(stone));
    resting.sort((a, b) => (a.spec.deletedAt < b.spec.deletedAt ? -1 : 1));
    for (const { spec } of resting.slice(0, Math.max(0, resting.length - this.#restingMax))) {
      await this.#store.delete(tombstoneKind, spec.volumeUuid).catch((error) => {
        if (!isAppError(error, "NotFound")) throw error;
      });
      this.#byVolume.delete(spec.volumeUuid);
    }
  }
}
