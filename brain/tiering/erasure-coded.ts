/**
 * Cold pools that stand on erasure coding: which they are, whether a volume goes there, and how many replicas it has then. One replica
 * there is worth several copies; on the way back the volume gets as many as it had. Pure.
 */
import { apiGroup } from "@couchestor/common/crd/object.ts";
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import { ecVolumeLabel } from "../migration/ports.ts";
import type { Block, TieredPool, TieredVolume, TieringPolicy } from "./model.ts";
import type { TierMap } from "./tiers.ts";

/** On a PersistentVolume: how many replicas it had before it went to a pool where one is enough. */
export const replicaCountAnnotation = `${apiGroup}/replica-count`;

export interface TargetTier {
  pools: readonly TieredPool[];
  /** One replica is enough there. */
  erasureCoded: boolean;
  /** When there are no pools: why. */
  why?: string;
}

const replicasMax = 16;

/** Whether a pool stands on an ECVolume, whichever. */
export function isErasureCoded({ labels }: Pick<TieredPool, "labels">): boolean {
  return Object.hasOwn(labels, ecVolumeLabel);
}

/** The pools of a tier that a volume may go to. */
export function tierFor(policy: TieringPolicy, map: TierMap, volume: TieredVolume, target: Tier): TargetTier {
  const pools = map.pools[target];
  const { erasureCoded } = policy;
  if (target !== "cold" || erasureCoded === undefined) return { pools, erasureCoded: false };
  const { policyRef, volumeBytesMin } = erasureCoded;
  if (volume.sizeBytes < volumeBytesMin)
    return {
      pools: pools.filter((pool) => !isErasureCoded(pool)),
      erasureCoded: false,
      why: `the volume is smaller than ecMinVolumeSizeBytes (${approximateBytes(volumeBytesMin)}), and no cold pool is an ordinary one`,
    };
  const coded = pools.flatMap((pool) => {
    const name = pool.labels[ecVolumeLabel];
    const found = name === undefined ? undefined : erasureCoded.volumes.get(name);
    if (found?.policyRef !== policyRef) return [];
    const why = `not all stripes of its ECVolume ${name} are known to be healthy`;
    return found.whole === true ? [pool] : [{ ...pool, unusable: pool.unusable ?? why }];
  });
  return {
    pools: coded,
    erasureCoded: true,
    why: `no cold pool carries the label ${ecVolumeLabel} with the name of an ECVolume of ErasureCodingPolicy ${policyRef}`,
  };
}

/** How many replicas a volume is to have on its new tier; or why that can't be told. `pools`: all that there are. */
export function finalCountOf(
  policy: TieringPolicy,
  volume: TieredVolume,
  target: Tier,
  { tier, pools }: { tier: TargetTier; pools: readonly TieredPool[] },
): { final: number } | Block {
  const present = volume.replicas?.length ?? 0;
  if (policy.preservationMode) return { final: present };
  if (tier.erasureCoded) return { final: 1 };
  const text = volume.replicaCountBefore;
  if (target === "cold") return { final: present };
  if (text === undefined) {
    const only = present === 1 ? volume.replicas?.[0]?.poolName : undefined;
    const coded = pools.some((pool) => pool.name === only && isErasureCoded(pool));
    return coded ? unknownCount(volume, "is missing, and its one replica is on erasure coding") : { final: present };
  }
  const before = /^\d{1,2}$/.test(text) ? Number(text) : 0;
  if (before >= 1 && before <= replicasMax) return { final: Math.max(before, present) };
  return unknownCount(volume, `is no number of replicas ("${text.slice(0, 40)}")`);
}

function unknownCount({ name }: TieredVolume, what: string): Block {
  return {
    action: "wait",
    reason: "AnnotationUnreadable",
    message: `the annotation ${replicaCountAnnotation} of PersistentVolume ${name} ${what}: set it to how many the volume is to have`,
  };
}
