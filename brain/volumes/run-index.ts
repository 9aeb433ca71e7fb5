/**
 * All runs in memory, small enough for 100,000 of them: what views, repair and metrics read. It follows this brain's own writes and every conflict's
 * fresh read; whatever is committed is decided on the store's current object, never on this.
 */
import type { ActId } from "@couchestor/common/api/acts.ts";
import { formatCode } from "@couchestor/common/code/code.ts";
import type { EcStripe, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import { judgedStateOf } from "@couchestor/common/crd/stripe-status.ts";
import { type RunShape, shapeOf } from "./run-shape.ts";

export interface RunEntry extends RunShape {
  name: string;
  volumeName: string;
  volumeUuid: string;
  firstStripe: number;
  stripeCount: number;
  encodeEpoch: number;
  encodeAct: number;
  placementVersion: number;
  bytes: number;
  state: "Unwritten" | "Healthy" | "Degraded" | "Unrecoverable";
  /** The state as the status has it, with what was being done to the run. */
  shown: EcStripeStatus["state"];
  missing: readonly number[];
  lastScrubIso: string | undefined;
}

export class RunIndex {
  readonly #byVolume = new Map<string, Map<string, RunEntry>>();
  /** One object per distinct text or value, however many runs hold it. */
  readonly #interned = new Map<string, unknown>();

  /** Raised by every change: equal means that nothing is to be planned anew. */
  version = 0;

  /** Takes in an object as the store returned it. */
  apply(object: EcStripe): RunEntry {
    const { spec, status } = object;
    const entry: RunEntry = {
      ...shapeOf(spec),
      code: this.#intern(formatCode(spec.code), spec.code),
      shardLocations: shapeOf(spec).shardLocations.map((l) => ({
        ...l,
        poolUuid: this.#intern(l.poolUuid, l.poolUuid),
        nodeName: this.#intern(`n ${l.nodeName}`, l.nodeName),
        poolName: this.#intern(`p ${l.poolName}`, l.poolName),
      })),
      name: object.metadata.name,
      volumeName: this.#intern(`v ${spec.volumeRef}`, spec.volumeRef),
      volumeUuid: this.#intern(spec.volumeUuid, spec.volumeUuid),
      firstStripe: spec.firstStripe,
      stripeCount: spec.stripeCount,
      encodeEpoch: spec.encodeEpoch,
      encodeAct: spec.encodeAct,
      placementVersion: spec.placements.at(-1)?.version ?? 0,
      bytes: spec.lbaRange.endBytes - spec.lbaRange.startBytes,
      state: judgedStateOf(status?.state ?? "Unwritten"),
      shown: status?.state ?? "Unwritten",
      missing: status?.missingShards ?? [],
      lastScrubIso: status?.lastScrub,
    };
    const runs = this.#byVolume.get(entry.volumeUuid) ?? new Map<string, RunEntry>();
    this.#byVolume.set(entry.volumeUuid, runs);
    runs.set(entry.name, entry);
    this.version++;
    return entry;
  }

  remove(volumeUuid: string, name: string): void {
    const runs = this.#byVolume.get(volumeUuid);
    runs?.delete(name);
    this.version++;
    if (runs?.size === 0) this.#byVolume.delete(volumeUuid);
  }

  /** The runs of a volume, by first stripe. */
  ofVolume(volumeUuid: string): RunEntry[] {
    return [...(this.#byVolume.get(volumeUuid)?.values() ?? [])].sort((a, b) => a.firstStripe - b.firstStripe);
  }

  get(volumeUuid: string, name: string): RunEntry | undefined {
    return this.#byVolume.get(volumeUuid)?.get(name);
  }

  /** The runs whose version names a chunk that this act encoded or put. */
  naming(act: ActId): string[] {
    const { epoch, actNo } = act;
    const mine = (put: { putEpoch: number; putAct: number }) => put.putEpoch === epoch && put.putAct === actNo;
    return [...(this.#byVolume.get(act.volumeUuid)?.values() ?? [])]
      .filter(
        (run) =>
          (run.encodeEpoch === epoch && run.encodeAct === actNo) ||
          run.shardLocations.some(mine) ||
          run.exceptions.some(mine),
      )
      .map((run) => run.name);
  }

  /** Forgets a run that the store no longer has. */
  forget(name: string): void {
    for (const volumeUuid of [...this.#byVolume.keys()]) {
      if (this.get(volumeUuid, name)) this.remove(volumeUuid, name);
    }
  }

  *all(): IterableIterator<RunEntry> {
    for (const runs of this.#byVolume.values()) yield* runs.values();
  }

  #intern<T>(key: string, value: T): T {
    const known = this.#interned.get(key);
    if (known !== undefined) return known as T;
    if (this.#interned.size < 100_000) this.#interned.set(key, value);
    return value;
  }
}
