/** How many ECStripes each policy's volumes have, by state: counted as changes come in, never by looking at all of them again. */
import type { EcStripeStatus } from "@couchestor/common/crd/ec-stripe.ts";

export type StripeState = EcStripeStatus["state"];

/** What the tally needs of an ECStripe. */
export interface TalliedStripe {
  metadata: { name: string };
  volumeRef: string;
  state: StripeState;
}

/** What the tally needs of an ECVolume. */
export interface TalliedVolume {
  metadata: { name: string };
  policyRef: string | undefined;
}

export interface PolicyCounts {
  activeVolumes: number;
  totalStripes: number;
  healthyStripes: number;
  /** Those that lack shards, unreadable ones included, and that nobody rebuilds now. */
  degradedStripes: number;
  rebuildingStripes: number;
  failedStripes: number;
}

type StateCounts = Partial<Record<StripeState, number>>;

interface VolumeTally {
  policyRef: string | undefined;
  /** Whether the volume itself is there, or only stripes that name it. */
  exists: boolean;
  states: StateCounts;
}

export class StripeTally {
  readonly #volumes = new Map<string, VolumeTally>();
  readonly #stripes = new Map<string, { volume: string; state: StripeState }>();
  readonly #volumesOf = new Map<string, Set<string>>();
  readonly #totals: StateCounts = {};
  readonly #listeners: ((policy: string) => void)[] = [];

  /** Told whenever the counts of a policy change. */
  onChange(listener: (policy: string) => void): void {
    this.#listeners.push(listener);
  }

  setVolume({ metadata: { name }, policyRef }: TalliedVolume): void {
    const tally = this.#volume(name);
    if (tally.exists && tally.policyRef === policyRef) return;
    const before = tally.policyRef;
    if (before !== undefined && before !== policyRef) this.#unlink(before, name);
    tally.exists = true;
    tally.policyRef = policyRef;
    if (policyRef !== undefined) this.#link(policyRef, name);
    this.#changed(before);
    if (policyRef !== before) this.#changed(policyRef);
  }

  removeVolume(name: string): void {
    const tally = this.#volumes.get(name);
    if (tally === undefined || !tally.exists) return;
    const { policyRef } = tally;
    if (policyRef !== undefined) this.#unlink(policyRef, name);
    tally.exists = false;
    tally.policyRef = undefined;
    this.#forgetEmpty(name, tally);
    this.#changed(policyRef);
  }

  setStripe({ metadata: { name }, volumeRef: volume, state }: TalliedStripe): void {
    const before = this.#stripes.get(name);
    if (before?.volume === volume && before.state === state) return;
    if (before !== undefined) this.#count(before.volume, before.state, -1);
    this.#stripes.set(name, { volume, state });
    this.#count(volume, state, 1);
    this.#changed(this.#volumes.get(volume)?.policyRef);
  }

  removeStripe(name: string): void {
    const before = this.#stripes.get(name);
    if (before === undefined) return;
    this.#stripes.delete(name);
    const policy = this.#volumes.get(before.volume)?.policyRef;
    this.#count(before.volume, before.state, -1);
    this.#changed(policy);
  }

  countsOf(policy: string): PolicyCounts {
    const volumes = this.#volumesOf.get(policy) ?? new Set();
    const sum = (...states: StripeState[]): number => {
      let total = 0;
      for (const name of volumes) {
        const counts = this.#volumes.get(name)?.states ?? {};
        for (const state of states) total += counts[state] ?? 0;
      }
      return total;
    };
    const healthyStripes = sum("Healthy", "Unwritten", "Writing");
    const rebuildingStripes = sum("Rebuilding");
    const failedStripes = sum("Failed");
    const degradedStripes = sum("Degraded") + failedStripes;
    return {
      activeVolumes: volumes.size,
      totalStripes: healthyStripes + rebuildingStripes + degradedStripes,
      healthyStripes,
      degradedStripes,
      rebuildingStripes,
      failedStripes,
    };
  }

  /** All stripes by state, for metrics. */
  totals(): ReadonlyMap<StripeState, number> {
    return new Map(Object.entries(this.#totals) as [StripeState, number][]);
  }

  #volume(name: string): VolumeTally {
    const known = this.#volumes.get(name);
    if (known !== undefined) return known;
    const made: VolumeTally = { policyRef: undefined, exists: false, states: {} };
    this.#volumes.set(name, made);
    return made;
  }

  #count(volume: string, state: StripeState, by: 1 | -1): void {
    const tally = this.#volume(volume);
    tally.states[state] = (tally.states[state] ?? 0) + by;
    this.#totals[state] = (this.#totals[state] ?? 0) + by;
    if (by < 0) this.#forgetEmpty(volume, tally);
  }

  #forgetEmpty(name: string, tally: VolumeTally): void {
    if (!tally.exists && Object.values(tally.states).every((count) => count === 0)) this.#volumes.delete(name);
  }

  #link(policy: string, volume: string): void {
    const volumes = this.#volumesOf.get(policy) ?? new Set<string>();
    volumes.add(volume);
    this.#volumesOf.set(policy, volumes);
  }

  #unlink(policy: string, volume: string): void {
    const volumes = this.#volumesOf.get(policy);
    volumes?.delete(volume);
    if (volumes?.size === 0) this.#volumesOf.delete(policy);
  }

  #changed(policy: string | undefined): void {
    if (policy !== undefined) for (const listener of this.#listeners) listener(policy);
  }
}
