/**
 * What is left of a deleted volume: proof that its chunks are garbage, for the pools that were away when it went and for acts that died halfway.
 * It goes when every pool it names has been swept since.
 */
import {
  countSchema,
  epochSchema,
  nameSchema,
  timestampSchema,
  uuidSchema,
} from "@couchestor/common/api/primitives.ts";
import { apiVersion, type Resource, type ResourceKind } from "@couchestor/common/crd/object.ts";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { z } from "zod";
import type { ResourceStore } from "../store/ports.ts";

const specSchema = z.strictObject({
  volumeUuid: uuidSchema,
  name: nameSchema,
  /** The epoch of the owner that deleted the volume, by which its deletions are ordered. */
  epoch: epochSchema,
  deletedAt: timestampSchema,
});
const statusSchema = z.strictObject({
  /** Pools that may still hold chunks of the volume. */
  pendingPools: z.array(uuidSchema),
  sweptPools: countSchema,
});
export type TombstoneSpec = z.infer<typeof specSchema>;
export type TombstoneStatus = z.infer<typeof statusSchema>;
export type Tombstone = Resource<TombstoneSpec, TombstoneStatus>;
export const tombstoneKind: ResourceKind<TombstoneSpec, TombstoneStatus> = {
  kind: "VolumeTombstone",
  plural: "volumetombstones",
  shortNames: [],
  spec: specSchema,
  status: statusSchema,
};

export class Tombstones {
  readonly #store: ResourceStore;
  readonly #byVolume = new Map<string, Tombstone>();

  constructor(store: ResourceStore) {
    this.#store = store;
  }

  async load(): Promise<void> {
    for (const stone of (await this.#store.list(tombstoneKind)).items) this.#byVolume.set(stone.spec.volumeUuid, stone);
  }

  of(volumeUuid: string): Tombstone | undefined {
    return this.#byVolume.get(volumeUuid);
  }

  get count(): number {
    return this.#byVolume.size;
  }

  /** Durable on return. The same again leaves what is there. */
  async put(spec: TombstoneSpec, pendingPools: readonly string[]): Promise<void> {
    const stone = {
      apiVersion,
      kind: tombstoneKind.kind,
      metadata: { name: spec.volumeUuid },
      spec,
      status: { pendingPools: [...pendingPools], sweptPools: 0 },
    };
    try {
      this.#byVolume.set(spec.volumeUuid, await this.#store.create(tombstoneKind, stone));
    } catch (error) {
      if (!isAppError(error, "AlreadyExists")) throw error;
      const there = await this.#store.get(tombstoneKind, spec.volumeUuid);
      if (there) this.#byVolume.set(spec.volumeUuid, there);
    }
  }

  /** Notes that a pool, swept from `startedIso` on, holds nothing of any volume deleted before that. */
  async swept(poolUuid: string, stones: readonly Tombstone[]): Promise<void> {
    for (const { spec } of stones) {
      const current = await this.#store.get(tombstoneKind, spec.volumeUuid);
      if (!current?.status) continue;
      const pendingPools = current.status.pendingPools.filter((p) => p !== poolUuid);
      if (pendingPools.length === 0) {
        await this.#store.delete(tombstoneKind, spec.volumeUuid);
        this.#byVolume.delete(spec.volumeUuid);
      } else if (pendingPools.length < current.status.pendingPools.length) {
        const status = { pendingPools, sweptPools: current.status.sweptPools + 1 };
        this.#byVolume.set(spec.volumeUuid, await this.#store.updateStatus(tombstoneKind, { ...current, status }));
      }
    }
  }

  all(): Tombstone[] {
    return [...this.#byVolume.values()];
  }
}
