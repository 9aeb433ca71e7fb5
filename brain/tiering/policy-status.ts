/** The status of a StoragePolicy: what is watched, where it is, and what stands in the way. Pure. At rest it does not change. */
import type { Condition } from "@couchestor/common/crd/object.ts";
import {
  migrationHistoryMax,
  type StoragePolicy,
  type StoragePolicyStatus,
} from "@couchestor/common/crd/storage-policy.ts";
import type { Findings } from "../policies/validate-storage-policy.ts";
import { type ConditionUpdate, withConditions } from "../runtime/conditions.ts";
import { historyOf } from "./history.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { MigrationCounts } from "./migration-counts.ts";
import type { Block, PlanEntry, PolicyPlan } from "./model.ts";
import { nextRemoved, withRemoved } from "./prune.ts";

const namesMax = 5;

/** What was found out, or why it could not be. */
export interface Outlook {
  findings: Findings;
  /** Undefined when the control plane did not answer: the counts stay as they were. */
  plan: PolicyPlan | undefined;
  /** Why heat is not known, if its source did not answer. */
  heatError: string | undefined;
  controlPlaneError: string | undefined;
  /** The whole brain only looks. */
  dryRun: boolean;
  /** Migrations of the policy that have ended. */
  migrations: MigrationCounts;
  /** Those of them that there are. */
  ended: readonly KnownMigration[];
  /** Why none may begin now. */
  hold: Block | undefined;
}

/** The status that the policy should have; undefined if it has it. `now` is the time as it is written. */
export function policyStatusOf(
  resource: StoragePolicy,
  outlook: Outlook,
  now: string,
): StoragePolicyStatus | undefined {
  const { spec, metadata } = resource;
  const before = resource.status;
  const { plan, findings } = outlook;
  const phase = findings.problems.length > 0 ? "Error" : spec.enabled ? "Active" : "Disabled";
  const updates = conditionsOf(resource, outlook).map((update) =>
    steady(update, before?.conditions, metadata.generation),
  );
  const conditions = withConditions(before?.conditions, updates, now);
  const { plannedMoves: _, lastReconcileTime: __, ...kept } = before ?? {};
  const moves = plannedMovesOf(before, outlook, spec.dryRun);
  const history = historyOf(before?.migrationHistory ?? [], outlook.ended);
  const removed = nextRemoved(before?.removedMigrations, outlook.ended, metadata.uid);
  const counted = withRemoved(outlook.migrations, removed, outlook.ended);
  const found: StoragePolicyStatus = {
    ...kept,
    phase,
    ...(metadata.generation === undefined ? {} : { observedGeneration: metadata.generation }),
    ...(plan === undefined ? {} : countsOf(plan)),
    totalMigrations: counted.total,
    failedMigrations: counted.failed,
    ...(removed === undefined ? {} : { removedMigrations: removed }),
    ...(history.length === 0 ? {} : { migrationHistory: history }),
    ...(moves === undefined ? {} : { plannedMoves: moves }),
    conditions,
    ...(before?.lastReconcileTime === undefined ? {} : { lastReconcileTime: before.lastReconcileTime }),
  };
  if (before !== undefined && Bun.deepEquals(found, before)) return undefined;
  return { ...found, lastReconcileTime: now };
}

function countsOf(plan: PolicyPlan) {
  return {
    watchedVolumes: plan.watched,
    hotVolumes: plan.tiers.hot,
    warmVolumes: plan.tiers.warm,
    coldVolumes: plan.tiers.cold,
    mixedVolumes: plan.tiers.mixed,
    unknownVolumes: plan.unknown,
    activeMigrations: plan.active,
  };
}

/** With dryRun what would be moved. The same moves with other figures are left as they were written. */
function plannedMovesOf(before: StoragePolicyStatus | undefined, outlook: Outlook, dryRun: boolean) {
  if (!dryRun && !outlook.dryRun) return undefined;
  if (outlook.plan === undefined) return before?.plannedMoves;
  const moves = outlook.plan.moves.slice(0, migrationHistoryMax).flatMap((entry) => {
    const { tier, heat, target, volume, message } = entry;
    if (target === undefined || heat.kind !== "score") return [];
    const fromTier = tier === "none" || tier === "unknown" ? ("mixed" as const) : tier;
    const where = entry.moves.map(({ fromPool, toPool }) => `${fromPool} to ${toPool}`).join(", ");
    return [
      {
        volumeName: volume.name,
        fromTier,
        toTier: target,
        iops: Math.round(heat.iops),
        reason: `${message}: ${where}`.slice(0, 1024),
      },
    ];
  });
  const same = (list: StoragePolicyStatus["plannedMoves"]) =>
    list?.map((move) => `${move.volumeName} ${move.fromTier} ${move.toTier}`).sort();
  return Bun.deepEquals(same(before?.plannedMoves), same(moves)) ? before?.plannedMoves : moves;
}

function conditionsOf(resource: StoragePolicy, outlook: Outlook): ConditionUpdate[] {
  const { plan, findings, heatError, controlPlaneError } = outlook;
  const updates = [ready(resource, findings)];
  if (!resource.spec.enabled) return updates;
  updates.push(
    heatError === undefined
      ? { type: "HeatAvailable", status: "True", reason: "Answered", message: "Heat is measured." }
      : {
          type: "HeatAvailable",
          status: "False",
          reason: "SourceUnavailable",
          message: `Nothing is moved: ${heatError}`,
        },
    controlPlaneError === undefined
      ? { type: "ControlPlaneAvailable", status: "True", reason: "Answered", message: "Volumes and pools are known." }
      : {
          type: "ControlPlaneAvailable",
          status: "False",
          reason: "Unavailable",
          message: `Counts are those of before: ${controlPlaneError}`,
        },
  );
  if (findings.problems.length === 0) updates.push(migrationsAllowed(outlook, resource.spec.dryRun));
  if (plan !== undefined) updates.push(pools(plan), conflict(plan));
  return updates;
}

function migrationsAllowed({ hold, dryRun }: Outlook, isPolicyDryRun: boolean): ConditionUpdate {
  const type = "MigrationsAllowed";
  if (hold !== undefined)
    return { type, status: "False", reason: hold.reason, message: `None begins: ${hold.message}.` };
  if (dryRun) return { type, status: "False", reason: "DryRun", message: "The brain runs with --dry-run." };
  if (isPolicyDryRun) {
    const message = "dryRun is true: what would be moved is shown in plannedMoves, and nothing is.";
    return { type, status: "False", reason: "PolicyDryRun", message };
  }
  return { type, status: "True", reason: "Allowed", message: "Migrations may begin." };
}

function ready({ spec }: StoragePolicy, { problems, warnings }: Findings): ConditionUpdate {
  const type = "Ready";
  if (problems.length > 0) return { type, status: "False", reason: "Invalid", message: problems.join("; ") };
  if (!spec.enabled)
    return { type, status: "False", reason: "Disabled", message: "enabled is false: no volume is watched." };
  return {
    type,
    status: "True",
    reason: "Valid",
    message: warnings.length > 0 ? warnings.join("; ") : "Volumes are watched.",
  };
}

function pools(plan: PolicyPlan): ConditionUpdate {
  const type = "PoolsUsable";
  if (plan.poolsInTwoTiers.length > 0) {
    const message = `Selected for two tiers, and used for neither: ${listed(plan.poolsInTwoTiers)}. Make the selectors differ.`;
    return { type, status: "False", reason: "PoolInTwoTiers", message };
  }
  if (plan.emptyTiers.length > 0) {
    const empty = plan.emptyTiers.map(({ tier, selector }) => `${tier} (${selector})`);
    const message = `No pool is selected for ${listed(empty)}. Labels count as the storage control plane has them, not those of Kubernetes objects.`;
    return { type, status: "False", reason: "SelectorMatchesNothing", message };
  }
  return {
    type,
    status: "True",
    reason: "Selected",
    message: "Each selector selects pools, and none is selected twice.",
  };
}

function conflict(plan: PolicyPlan): ConditionUpdate {
  const type = "Conflict";
  if (plan.contested.length === 0)
    return { type, status: "False", reason: "NoOverlap", message: "No older policy claims the same volumes." };
  const by = plan.contested.map(({ winner, volumes, examples }) => {
    const more = volumes > examples.length ? " and others" : "";
    return `StoragePolicy ${winner} has ${volumes} of them (${examples.join(", ")}${more})`;
  });
  const message = `Older policies claim the same volumes and have the say: ${listed(by)}. Make storageClassName or volumeSelector differ.`;
  return { type, status: "True", reason: "OlderPolicyWins", message };
}

/** Texts of errors differ from one time to the next; while the reason is the same, the first stays. */
function steady(
  update: ConditionUpdate,
  before: readonly Condition[] | undefined,
  generation: number | undefined,
): ConditionUpdate {
  const seen = generation === undefined ? update : { ...update, observedGeneration: generation };
  const old = before?.find(({ type }) => type === update.type);
  const isError = update.reason === "SourceUnavailable" || update.reason === "Unavailable";
  if (!isError || old?.status !== update.status || old.reason !== update.reason) return seen;
  return { ...seen, message: old.message };
}

function listed(names: readonly string[]): string {
  const shown = names.slice(0, namesMax).join(", ");
  return names.length > namesMax ? `${shown} and ${names.length - namesMax} more` : shown;
}

/** Entries as people want to see them: what moves, then what waits or can't, then the rest; within each by name. */
export function inOrderOfInterest(entries: readonly PlanEntry[]): PlanEntry[] {
  const rank = { move: 0, moving: 1, wait: 2, refuse: 3, stay: 4 } as const;
  return [...entries].sort((a, b) => rank[a.action] - rank[b.action] || (a.volume.name < b.volume.name ? -1 : 1));
}
