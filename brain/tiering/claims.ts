/** Which policy has the say over which volume: of those that claim it, the oldest. */
import { selects } from "@couchestor/common/crd/label-selector.ts";
import type { TieredVolume, TieringPolicy } from "./model.ts";

const examplesMax = 3;

export interface Claims {
  /** The volumes of each policy, by name of the policy, in order of name. */
  volumes: ReadonlyMap<string, TieredVolume[]>;
  /** What a policy claims and an older one has. */
  contested: ReadonlyMap<string, { winner: string; volumes: number; examples: string[] }[]>;
}

/** The order in which policies have their say: by age, then by name. */
export function bySeniority(a: TieringPolicy, b: TieringPolicy): number {
  return a.createdMs - b.createdMs || (a.name < b.name ? -1 : a.name > b.name ? 1 : 0);
}

/** Deals out volumes. Disabled policies claim nothing; invalid ones do, so that a typing error hands nothing to another policy. */
export function claimVolumes(policies: readonly TieringPolicy[], volumes: readonly TieredVolume[]): Claims {
  const seniors = policies.filter((policy) => policy.enabled).sort(bySeniority);
  const byClass = new Map<string, TieringPolicy[]>();
  for (const policy of seniors) {
    const others = byClass.get(policy.storageClassName);
    if (others === undefined) byClass.set(policy.storageClassName, [policy]);
    else others.push(policy);
  }
  const owned = new Map<string, TieredVolume[]>(policies.map((policy) => [policy.name, []]));
  const lost = new Map<string, Map<string, string[]>>();
  for (const volume of [...volumes].sort(byName)) {
    const claiming = (byClass.get(volume.storageClassName) ?? []).filter((policy) => claims(policy, volume));
    const [winner, ...losers] = claiming;
    if (winner === undefined) continue;
    owned.get(winner.name)?.push(volume);
    for (const loser of losers) {
      const winners = lost.get(loser.name) ?? new Map<string, string[]>();
      winners.set(winner.name, [...(winners.get(winner.name) ?? []), volume.name]);
      lost.set(loser.name, winners);
    }
  }
  const contested = [...lost].map(([name, winners]) => {
    const list = [...winners].map(([winner, names]) => ({
      winner,
      volumes: names.length,
      examples: names.slice(0, examplesMax),
    }));
    return [name, list.sort((a, b) => (a.winner < b.winner ? -1 : 1))] as const;
  });
  return { volumes: owned, contested: new Map(contested) };
}

function claims(policy: TieringPolicy, volume: TieredVolume): boolean {
  return policy.volumeSelector === undefined || selects(policy.volumeSelector, volume.claim.labels);
}

export function byName(a: TieredVolume, b: TieredVolume): number {
  return a.name < b.name ? -1 : a.name > b.name ? 1 : a.uuid < b.uuid ? -1 : a.uuid > b.uuid ? 1 : 0;
}
