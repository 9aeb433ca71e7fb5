/**
 * All runs in memory, small enough for 100,000 of them: what views, repair and metrics read. It follows this brain's own writes, every fresh
 * read and the store's watch; whatever is committed is decided on the store's current object, never on this. It also remembers the last version
 * that was trusted of runs that somebody edited or removed by hand.
 */
import type { ActId } from "@couchestor/common/api/acts.ts";
import { formatCode } from "@couchestor/common/code/code.ts";
import type { EcStripe, EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";
import { stripesPerRunMax } from "@couchestor/common/crd/ec-volume.ts";
import { judgedStateOf } from "@couchestor/common/crd/stripe-status.ts";
import { heldBefore, impossibleChange, isAccepted } from "./foreign-edits.ts";
import type { RunEntry } from "./run-entry.ts";
import { shapeOf } from "./run-shape.ts";

const none: readonly never[] = [];
/** Versions remembered of runs that were edited or removed. */
const trustedMaxDefault = 10_000;

export class RunIndex {
  readonly #byVolume = new Map<string, Map<string, RunEntry>>();
  /** The runs of volumes that were asked for, by first stripe, until their number changes: to sort very many for each map that is asked for is slow. */
  readonly #sorted = new Map<string, RunEntry[]>();
  /** The uuids that runs of a volume's name have had, to find one whose uuid was changed. */
  readonly #uuidsOf = new Map<string, Set<string>>();
  /** One object per distinct text or value, however many runs hold it. */
  readonly #interned = new Map<string, unknown>();
  readonly #trusted = new Map<string, RunEntry>();
  readonly #trustedMax: number;
  /** Runs whose status does not say yet that they are held, or says it still. */
  readonly unsaid = new Set<string>();

  /** Raised by every change: equal means that nothing is to be planned anew. */
  version = 0;
  /** The highest revision that was seen. */
  newest = 0;

  constructor(trustedMax = trustedMaxDefault) {
    this.#trustedMax = trustedMax;
  }

  /** Takes in an object as the store returned it; one that is older than what is known says nothing, unless the store itself went back. */
  apply(object: EcStripe, evenIfOlder = false): RunEntry {
    const { name } = object.metadata;
    const { volumeUuid } = object.spec;
    const revision = revisionOf(object);
    const known = this.get(volumeUuid, name);
    if (known !== undefined && (evenIfOlder ? revision === known.revision : revision <= known.revision)) return known;
    const entry = this.#entryOf(object, revision);
    if (known === undefined) this.#leaveOthers(name, volumeUuid);
    entry.held = this.#judge(object, entry, known);
    if ((entry.held === undefined) === (heldBefore(object.status) === undefined)) this.unsaid.delete(name);
    else this.unsaid.add(name);
    const runs = this.#byVolume.get(volumeUuid) ?? new Map<string, RunEntry>();
    this.#byVolume.set(entry.volumeUuid, runs);
    runs.set(name, entry);
    this.#sortIn(entry, known);
    if (revision > this.newest || evenIfOlder) this.newest = revision;
    this.version++;
    return entry;
  }

  /** Why the run is held; undefined if it isn't, or isn't known. */
  whyHeld(volumeUuid: string, name: string): string | undefined {
    return this.get(volumeUuid, name)?.held;
  }

  remove(volumeUuid: string, name: string): void {
    this.#drop(volumeUuid, name);
    this.#trusted.delete(`${volumeUuid}/${name}`);
  }

  /** Removes a run that somebody else removed; should it come back, it must be what it was. */
  lose(volumeUuid: string, name: string): void {
    const entry = this.get(volumeUuid, name);
    if (entry === undefined) return;
    const key = `${volumeUuid}/${name}`;
    if (entry.generation > 0 && !this.#trusted.has(key)) this.#trust(key, entry);
    this.#drop(volumeUuid, name);
  }

  #drop(volumeUuid: string, name: string): void {
    const runs = this.#byVolume.get(volumeUuid);
    runs?.delete(name);
    this.#sorted.delete(volumeUuid);
    this.unsaid.delete(name);
    this.version++;
    if (runs?.size === 0) {
      this.#byVolume.delete(volumeUuid);
      for (const [volume, uuids] of this.#uuidsOf) {
        uuids.delete(volumeUuid);
        if (uuids.size === 0) this.#uuidsOf.delete(volume);
      }
    }
  }

  /** The runs of a volume, by first stripe, as they are now: later versions take their places in the same list. */
  ofVolume(volumeUuid: string): readonly RunEntry[] {
    const runs = this.#byVolume.get(volumeUuid);
    if (runs === undefined) return none;
    const known = this.#sorted.get(volumeUuid);
    if (known !== undefined) return known;
    const sorted = [...runs.values()].sort((a, b) => a.firstStripe - b.firstStripe);
    this.#sorted.set(volumeUuid, sorted);
    return sorted;
  }

  /** The first `max` runs of a volume that cover any of the stripes from `first` up to `end`, by first stripe. */
  covering(volumeUuid: string, first: number, end: number, max: number): RunEntry[] {
    const sorted = this.ofVolume(volumeUuid);
    const covering: RunEntry[] = [];
    // Runs that were made by hand may overlap, so the search goes back as far as one can reach.
    for (let i = placeOf(sorted, first - stripesPerRunMax); i < sorted.length && covering.length < max; i++) {
      const run = sorted[i];
      if (run === undefined || run.firstStripe >= end) break;
      if (run.firstStripe + run.stripeCount > first) covering.push(run);
    }
    return covering;
  }

  /** Puts a new version in the place of the known one; with another run, or other stripes, the list is sorted anew when it is asked for. */
  #sortIn(entry: RunEntry, known: RunEntry | undefined): void {
    const sorted = this.#sorted.get(entry.volumeUuid);
    if (sorted === undefined) return;
    if (known?.firstStripe === entry.firstStripe) {
      for (let i = placeOf(sorted, entry.firstStripe); sorted[i]?.firstStripe === entry.firstStripe; i++) {
        if (sorted[i] !== known) continue;
        sorted[i] = entry;
        return;
      }
    }
    this.#sorted.delete(entry.volumeUuid);
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
      this.lose(volumeUuid, name);
    }
  }

  *all(): IterableIterator<RunEntry> {
    for (const runs of this.#byVolume.values()) yield* runs.values();
  }

  #entryOf({ metadata, spec, status }: EcStripe, revision: number): RunEntry {
    const shape = shapeOf(spec);
    return {
      code: this.#intern(formatCode(spec.code), spec.code),
      generation: spec.generation,
      shardLocations: shape.shardLocations.map((l) => ({
        shardIndex: l.shardIndex,
        poolUuid: this.#intern(l.poolUuid, l.poolUuid),
        nodeName: this.#intern(`n ${l.nodeName}`, l.nodeName),
        poolName: this.#intern(`p ${l.poolName}`, l.poolName),
        putEpoch: l.putEpoch,
        putAct: l.putAct,
      })),
      exceptions: shape.exceptions.length === 0 ? none : shape.exceptions,
      name: metadata.name,
      volumeName: this.#intern(`v ${spec.volumeRef}`, spec.volumeRef),
      volumeUuid: this.#intern(spec.volumeUuid, spec.volumeUuid),
      firstStripe: spec.firstStripe,
      stripeCount: spec.stripeCount,
      encodeEpoch: spec.encodeEpoch,
      encodeAct: spec.encodeAct,
      placementVersion: spec.placements.at(-1)?.version ?? 0,
      authority: spec.authority,
      fencedEpoch: spec.fencedEpoch,
      bytes: spec.lbaRange.endBytes - spec.lbaRange.startBytes,
      state: judgedStateOf(status?.state ?? "Unwritten"),
      shown: status?.state ?? "Unwritten",
      missing: this.#missing(status),
      lastScrubIso: status?.lastScrub,
      revision,
      held: undefined,
    };
  }

  #missing(status: EcStripeStatus | undefined): readonly number[] {
    if (status === undefined || status.missingShards.length === 0) return none;
    return this.#intern(`m ${status.missingShards.join()}`, status.missingShards);
  }

  /** Whether this version is to be trusted, by the last one that was. */
  #judge(object: EcStripe, entry: RunEntry, known: RunEntry | undefined): string | undefined {
    const key = `${entry.volumeUuid}/${entry.name}`;
    const trusted = this.#trusted.get(key) ?? (known?.held === undefined ? known : undefined);
    // Of more than are remembered, what it was is forgotten, and not that it is held.
    const before = heldBefore(object.status) ?? known?.held;
    const why = trusted === undefined ? before : impossibleChange(trusted, entry);
    if (why === undefined || isAccepted(object)) {
      this.#trusted.delete(key);
      return undefined;
    }
    if (trusted !== undefined) this.#trust(key, trusted);
    return why;
  }

  #trust(key: string, entry: RunEntry): void {
    this.#trusted.set(key, entry);
    for (const oldest of this.#trusted.keys()) {
      if (this.#trusted.size <= this.#trustedMax) return;
      this.#trusted.delete(oldest);
    }
  }

  /** A run that has another volume's uuid now is none of the one that it had before. */
  #leaveOthers(name: string, volumeUuid: string): void {
    const volume = name.slice(0, name.lastIndexOf("-"));
    const uuids = this.#uuidsOf.get(volume) ?? new Set<string>();
    this.#uuidsOf.set(volume, uuids);
    for (const other of [...uuids]) if (other !== volumeUuid) this.lose(other, name);
    // `lose` may have forgotten the name with its last run.
    this.#uuidsOf.set(volume, uuids.add(volumeUuid));
  }

  #intern<T>(key: string, value: T): T {
    const known = this.#interned.get(key);
    if (known !== undefined) return known as T;
    if (this.#interned.size < 100_000) this.#interned.set(key, value);
    return value;
  }
}

/** Where the first run is that begins at this stripe or later. */
function placeOf(sorted: readonly RunEntry[], firstStripe: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((sorted[middle]?.firstStripe ?? 0) < firstStripe) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** The object's revision as a number. Both stores count; by any other the order of versions isn't known, and each counts as newer. */
export function revisionOf({
  metadata: { resourceVersion },
}: {
  metadata: { resourceVersion?: string | undefined };
}): number {
  return resourceVersion !== undefined && /^\d{1,16}$/.test(resourceVersion) ? Number(resourceVersion) : Number.NaN;
}
