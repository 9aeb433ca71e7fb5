/** The plan for the admin API: `common/api/plan.ts`. Pure. */
import type { PlanAnswer, PlanEntryView, PlanQuery } from "@couchestor/common/api/plan.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { PlanEntry, PolicyPlan } from "./model.ts";
import { inOrderOfInterest } from "./policy-status.ts";
import type { TieringReport } from "./reconcile.ts";

const warningsMax = 32;

/** What a question about the plan is answered. Throws `Unavailable` before there is one, `NotFound` for a policy or volume that it doesn't have. */
export function planView(report: TieringReport | undefined, query: PlanQuery): PlanAnswer {
  const plan = report?.plan;
  if (report === undefined || plan === undefined) {
    const why = report === undefined ? "" : `: ${report.warnings.join("; ")}`;
    throw new AppError("Unavailable", `there is no plan yet${why}`);
  }
  const { policy, volume, limit } = query;
  const policies = plan.policies.filter((found) => policy === undefined || found.policy.name === policy);
  if (policy !== undefined && policies.length === 0) {
    const known = plan.policies.map((found) => found.policy.name);
    throw new AppError("NotFound", `there is no StoragePolicy ${policy}; there are: ${known.join(", ") || "none"}`);
  }
  const entries = policies
    .flatMap((found) => found.entries)
    .filter((entry) => volume === undefined || isVolume(entry, volume));
  if (volume !== undefined && entries.length === 0) {
    throw new AppError(
      "NotFound",
      `no policy watches a volume ${volume}: is its StorageClass that of a policy, and its claim selected?`,
    );
  }
  return {
    takenAt: new Date(report.takenAtMs).toISOString(),
    policies: policies.map(policyView),
    entries: inOrderOfInterest(entries).slice(0, limit).map(entryView),
    total: entries.length,
    warnings: report.warnings.slice(0, warningsMax),
  };
}

function isVolume({ volume }: PlanEntry, name: string): boolean {
  return volume.name === name || volume.uuid === name || claimOf({ volume }) === name;
}

function claimOf({ volume: { claim } }: Pick<PlanEntry, "volume">): string {
  return `${claim.namespace}/${claim.name}`;
}

function policyView({ policy, watched, tiers, unknown, active }: PolicyPlan): PlanAnswer["policies"][number] {
  const { name, enabled, dryRun, problems } = policy;
  const { hot, warm, cold, mixed } = tiers;
  return {
    name,
    enabled,
    dryRun,
    problems: [...problems],
    watched,
    hot,
    warm,
    cold,
    mixed,
    unknown,
    activeMigrations: active,
  };
}

function entryView(entry: PlanEntry): PlanEntryView {
  const { policyName, volume, tier, heat, target, action, reason, message, moves, dryRun, notBeforeMs } = entry;
  return {
    volume: volume.name,
    volumeUuid: volume.uuid,
    claim: claimOf(entry),
    policy: policyName,
    sizeBytes: volume.sizeBytes,
    tier,
    heat:
      heat.kind === "score"
        ? { known: true, iops: heat.iops, samples: heat.samples, source: heat.source, ageMs: heat.ageMs }
        : { known: false, reason: heat.reason, message: heat.message },
    ...(target === undefined ? {} : { target }),
    action,
    reason,
    message,
    moves: moves.map((move) => ({ ...move })),
    dryRun,
    ...(notBeforeMs === undefined ? {} : { notBefore: new Date(notBeforeMs).toISOString() }),
  };
}
