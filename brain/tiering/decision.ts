/**
 * The decisions: policies, volumes, pools, heat and the time in, a plan with a reason for each volume out. Pure, and the same for the same
 * input in any order. Heat that is not known moves nothing.
 */
import type { Tier } from "@couchestor/common/crd/storage-policy.ts";
import { MigrationBudget } from "./budget.ts";
import { bySeniority, claimVolumes } from "./claims.ts";
import { cooldownOf } from "./cooldown.ts";
import type { Heat } from "./heat.ts";
import type { ActiveMove, Plan, PlanEntry, PolicyPlan, TieredPool, TieredVolume, TieringPolicy } from "./model.ts";
import { placeReplicas, SpaceLedger } from "./room.ts";
import { standingOf, type TierMap, tierMap, warmth } from "./tiers.ts";
import { wantedTier } from "./watermarks.ts";

export interface DecisionInput {
  policies: readonly TieringPolicy[];
  volumes: readonly TieredVolume[];
  pools: readonly TieredPool[];
  heat: (policy: TieringPolicy, volume: TieredVolume) => Heat;
  active: readonly ActiveMove[];
  /** Migrations at once, of all policies. */
  maxConcurrent: number;
  /** Every decision is shown only. */
  dryRun: boolean;
  nowMs: number;
}

/** A volume that should move, before it is known whether it can. */
interface Candidate {
  entry: PlanEntry;
  policy: TieringPolicy;
  map: TierMap;
  target: Tier;
  /** 0: a mixed volume to be finished. 1: to a warmer tier. 2: to a colder one. */
  urgency: 0 | 1 | 2;
  iops: number;
}

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
  const base = { policyName: policy.name, volume, tier: standing.tier, heat, target: undefined, moves: [], dryRun };
  if (active !== undefined) {
    const message = `a migration to ${active.toTier} is under way`;
    return { ...base, target: active.toTier, action: "moving", reason: "MigrationActive", message };
  }
  if (policy.problems.length > 0) {
    return { ...base, action: "refuse", reason: "PolicyInvalid", message: policy.problems.join("; ") };
  }
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

function onTier(map: TierMap, volume: TieredVolume, tier: Tier): number {
  return (volume.replicas ?? []).filter((replica) => map.ofPool.get(replica.poolName ?? "") === tier).length;
}

/** Whether every old replica that is kept has its successor on the target tier. */
function preserved(policy: TieringPolicy, map: TierMap, volume: TieredVolume, target: Tier): boolean {
  return policy.preservationMode && 2 * onTier(map, volume, target) >= (volume.replicas ?? []).length;
}

/** Gives space and a turn to candidates, the most urgent first; what is left over waits or is refused. Returns those that may go. */
function admit(input: DecisionInput, candidates: Candidate[]): PlanEntry[] {
  const volumes = new Map(input.volumes.map((volume) => [volume.uuid, volume]));
  const resources = () => ({
    ledger: new SpaceLedger(input.pools, input.active, volumes),
    budget: new MigrationBudget(input.maxConcurrent, input.active),
  });
  // What is only shown must not keep anything from what is done.
  const real = resources();
  const shown = resources();
  const admitted: PlanEntry[] = [];
  for (const { entry, policy, map, target } of candidates.sort(byUrgency)) {
    const { ledger, budget } = entry.dryRun ? shown : real;
    const placement = placeReplicas(entry.volume, target, map, ledger);
    if ("reason" in placement) {
      Object.assign(entry, {
        action: "refuse",
        reason: placement.reason,
        message: `${entry.message}; ${placement.message}`,
      });
      continue;
    }
    // Kept replicas have successors already, as many as are on the target tier.
    const done = policy.preservationMode ? onTier(map, entry.volume, target) : 0;
    entry.moves = placement.moves.slice(0, Math.max(1, placement.moves.length - done));
    const turn = budget.admit(policy.name, policy.maxConcurrent);
    if (turn !== "admitted") {
      const limit =
        turn === "PolicyConcurrency" ? `${policy.maxConcurrent} of this policy` : `${input.maxConcurrent} in all`;
      Object.assign(entry, {
        action: "wait",
        reason: turn,
        message: `${entry.message}; waits for its turn: at most ${limit} at once`,
      });
      continue;
    }
    for (const move of entry.moves) ledger.take(move.toPool, entry.volume.sizeBytes);
    admitted.push(entry);
  }
  return admitted;
}

/** Mixed volumes first, then the hottest to warmer tiers, then the coldest to colder ones. */
function byUrgency(a: Candidate, b: Candidate): number {
  const byHeat = a.urgency === 2 ? a.iops - b.iops : b.iops - a.iops;
  const [x, y] = [a.entry.volume, b.entry.volume];
  const byText = x.name < y.name ? -1 : x.name > y.name ? 1 : x.uuid < y.uuid ? -1 : 1;
  return a.urgency - b.urgency || byHeat || byText;
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
