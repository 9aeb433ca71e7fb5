/**
 * The decisions: policies, volumes, pools, heat and the time in, a plan with a reason for each volume out. Pure, and the same for the same
 * input in any order. Heat that is not known moves nothing.
 */
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import { admit, type Candidate, onTier } from "./admit.ts";
import { bySeniority, claimVolumes } from "./claims.ts";
import { cooldownOf } from "./cooldown.ts";
import type { DecisionInput } from "./decision-input.ts";
import type { ActiveMove, Plan, PlanEntry, PolicyPlan, TieredVolume, TieringPolicy } from "./model.ts";
import { standingOf, type TierMap, tierMap, warmth } from "./tiers.ts";
import { wantedTier } from "./watermarks.ts";

/** Decides for all volumes. */
export function decide(given: DecisionInput): Plan {
  // In one order, so that texts which name a few pools name the same ones.
  const pools = [...given.pools].sort((a, b) => (a.name < b.name ? -1 : a.name > b.name ? 1 : 0));
  const input = { ...given, pools };
  const claims = claimVolumes(input.policies, input.volumes);
  const active = new Map(input.active.map((move) => [move.volumeUuid, move]));
  const candidates: Candidate[] = [];
  const plans = [...input.policies].sort(bySeniority).map((policy) => {
    const map = tierMap(policy, input.pools);
    const entries = (claims.volumes.get(policy.name) ?? []).map((volume) => {
      const judged = judge(input, policy, map, volume, active.get(volume.uuid));
      if ("entry" in judged) candidates.push(judged);
      return "entry" in judged ? judged.entry : judged;
    });
    return { policy, map, entries };
  });
  const moves = admit(input, candidates);
  const policies = plans.map(({ policy, map, entries }) =>
    summary(policy, map, entries, {
      moves: candidates.filter(({ entry }) => entry.policyName === policy.name && entry.moves.length > 0),
      contested: claims.contested.get(policy.name) ?? [],
      active: input.active,
    }),
  );
  return { policies, moves };
}

const noMoves = { moves: [], targetPools: [] };

/** What heat, tier, cooldown and running migrations say of one volume. */
function judge(
  input: DecisionInput,
  policy: TieringPolicy,
  map: TierMap,
  volume: TieredVolume,
  active: ActiveMove | undefined,
): PlanEntry | Candidate {
  const heat = input.heat(policy, volume);
  const standing = standingOf(volume, map);
  const dryRun = input.dryRun || policy.dryRun;
  const base = { policyName: policy.name, volume, tier: standing.tier, heat, target: undefined, ...noMoves, dryRun };
  if (active !== undefined) {
    const message = `a migration to ${active.toTier} is under way`;
    return { ...base, target: active.toTier, action: "moving", reason: "MigrationActive", message };
  }
  if (policy.problems.length > 0) {
    return { ...base, action: "refuse", reason: "PolicyInvalid", message: policy.problems.join("; ") };
  }
  if (volume.blocked?.reason === "UnsupportedVersion") return { ...base, ...volume.blocked };
  if (heat.kind === "unknown") {
    return {
      ...base,
      action: "stay",
      reason: "HeatUnknown",
      message: `heat unknown (${heat.reason}): ${heat.message}`,
    };
  }
  if (standing.tier === "unknown") {
    return { ...base, action: "stay", reason: "TierUnknown", message: `tier unknown: ${standing.why}` };
  }
  const wanted = wantedTier(policy.watermarks, heat.iops, standing.base);
  const mixed = standing.tier === "mixed";
  const target = wanted.tier ?? (mixed ? standing.base : undefined);
  if (target === undefined) return { ...base, action: "stay", reason: wanted.reason, message: wanted.message };
  if (!mixed && target === standing.tier) {
    return { ...base, target, action: "stay", reason: "OnTargetTier", message: `${wanted.message}; it is there` };
  }
  if (mixed && preserved(policy, map, volume, target)) {
    const message = `${wanted.message}; half of its replicas or more are on ${target}, and preservationMode keeps the others`;
    return { ...base, target, action: "stay", reason: "Preserved", message };
  }
  const cooldown = mixed ? undefined : cooldownOf(policy, volume, input.nowMs);
  if (cooldown !== undefined)
    return { ...base, target, action: "wait", ...cooldown, message: `${wanted.message}; ${cooldown.message}` };
  const { blocked } = volume;
  if (blocked !== undefined) return { ...base, target, ...blocked, message: `${wanted.message}; ${blocked.message}` };
  const message = mixed
    ? `${wanted.message}; its replicas are on several tiers, those not on ${target} follow`
    : wanted.message;
  const reason = mixed ? ("FinishMixed" as const) : wanted.reason;
  const colder = standing.base !== undefined && warmth[target] < warmth[standing.base];
  return {
    entry: { ...base, target, action: "move", reason, message },
    policy,
    map,
    target,
    urgency: mixed ? 0 : colder || (standing.base === undefined && target === "cold") ? 2 : 1,
    iops: heat.iops,
  };
}

/** Whether every old replica that is kept has its successor on the target tier. */
function preserved(policy: TieringPolicy, map: TierMap, volume: TieredVolume, target: Tier): boolean {
  return policy.preservationMode && 2 * onTier(map, volume, target) >= (volume.replicas ?? []).length;
}

function summary(
  policy: TieringPolicy,
  map: TierMap,
  entries: PlanEntry[],
  more: { moves: readonly Candidate[]; contested: PolicyPlan["contested"]; active: readonly ActiveMove[] },
): PolicyPlan {
  const tiers = { hot: 0, warm: 0, cold: 0, mixed: 0, none: 0, unknown: 0 };
  let heatUnknown = 0;
  let unknown = 0;
  for (const { tier, heat } of entries) {
    tiers[tier] += 1;
    if (heat.kind === "unknown") heatUnknown += 1;
    if (heat.kind === "unknown" || tier === "unknown" || tier === "none") unknown += 1;
  }
  return {
    policy,
    entries,
    moves: more.moves.map(({ entry }) => entry),
    watched: entries.length,
    tiers,
    heatUnknown,
    unknown,
    active: more.active.filter((move) => move.policyName === policy.name).length,
    contested: more.contested,
    poolsInTwoTiers: map.inTwoTiers,
    emptyTiers: map.empty,
  };
}
