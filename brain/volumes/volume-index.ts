/** All volumes in memory, by uuid and by name. */
import type { EcVolume } from "@couchestor/common/crd/ec-volume.ts";
import { impossibleSpec } from "./foreign-edits.ts";
import { revisionOf } from "./run-index.ts";

export class VolumeIndex {
  readonly #byUuid = new Map<string, EcVolume>();
  readonly #uuids = new Map<string, string>();
  /** Of volumes whose spec somebody changed: what it was, and what is wrong with it. */
  readonly #held = new Map<string, { trusted: EcVolume["spec"]; why: string }>();
  /** The highest revision that was seen. */
  newest = 0;

  /** In order of name. */
  all(): EcVolume[] {
    return [...this.#byUuid.values()].sort((a, b) => (a.metadata.name < b.metadata.name ? -1 : 1));
  }

  names(): IterableIterator<string> {
    return this.#uuids.keys();
  }

  byUuid(volumeUuid: string): EcVolume | undefined {
    return this.#byUuid.get(volumeUuid);
  }

  byName(name: string): EcVolume | undefined {
    return this.#byUuid.get(this.#uuids.get(name) ?? "");
  }

  whyHeld(volumeUuid: string): string | undefined {
    return this.#held.get(volumeUuid)?.why;
  }

  /** Takes in a volume as the store returned it; one that is older than what is known says nothing, unless the store itself went back. */
  put(volume: EcVolume, evenIfOlder = false): void {
    const { volumeUuid } = volume.spec;
    const { name } = volume.metadata;
    const known = this.#byUuid.get(volumeUuid);
    const revision = revisionOf(volume);
    // Of the same name: this volume, or another that was made since and that a late event of the one before must not displace.
    const named = this.byName(name);
    if (named !== undefined && !evenIfOlder && revision < revisionOf(named)) return;
    if (known !== undefined) this.#judge(known, volume);
    const before = this.#uuids.get(name);
    if (before !== undefined && before !== volumeUuid) this.#byUuid.delete(before);
    this.#byUuid.set(volumeUuid, volume);
    this.#uuids.set(name, volumeUuid);
    if (revision > this.newest || evenIfOlder) this.newest = revision;
  }

  remove(volume: EcVolume): void {
    const { volumeUuid } = volume.spec;
    const { name } = volume.metadata;
    this.#byUuid.delete(volumeUuid);
    this.#held.delete(volumeUuid);
    if (this.#uuids.get(name) === volumeUuid) this.#uuids.delete(name);
  }

  removeName(name: string): void {
    const volume = this.byName(name);
    if (volume !== undefined) this.remove(volume);
  }

  #judge(known: EcVolume, volume: EcVolume): void {
    const { volumeUuid } = volume.spec;
    const trusted = this.#held.get(volumeUuid)?.trusted ?? known.spec;
    const why = impossibleSpec(trusted, volume.spec);
    if (why === undefined) this.#held.delete(volumeUuid);
    else this.#held.set(volumeUuid, { trusted, why: `ECVolume ${volume.metadata.name}: ${why}` });
  }
}
