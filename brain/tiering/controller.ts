/** Looks again whenever a policy changes, soon after volumes or claims do, and every so often, since heat changes by itself. */
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { Controller, type ControllerDeps, type ControllerOptions, type Source } from "../runtime/controller.ts";
import type { KeptClaim, KeptVolume } from "./kube-volumes.ts";
import type { Plan } from "./model.ts";
import type { Tiering, TieringReport } from "./reconcile.ts";

export interface TieringSources {
  policies: Source<StoragePolicy>;
  volumes: Source<KeptVolume>;
  claims: Source<KeptClaim>;
  /** Those under way hold space and turns, so nothing is decided before all are known. */
  migrations: Source<{ result: string | undefined }>;
}

export interface TieringControllerOptions extends Partial<ControllerOptions> {
  /** How often it looks when nothing is heard. */
  everyMs?: number;
  onReport?: (report: TieringReport) => void;
}

export const everyMsDefault = 30_000;
/** One look for all volumes and claims that change within this time. */
const gatherMs = 2_000;
const key = "all";

/** The controller over its sources. It begins to work when all of them are complete. */
export function tieringController(
  deps: ControllerDeps,
  tiering: Tiering,
  sources: TieringSources,
  options: TieringControllerOptions = {},
): Controller {
  const { everyMs = everyMsDefault, onReport, ...rest } = options;
  let shown = "";
  const controller = new Controller(deps, {
    name: "tiering",
    ...rest,
    workers: 1,
    reconcile: async (_, { signal }) => {
      const report = await tiering.reconcile(signal);
      onReport?.(report);
      const moves = movesText(report.plan);
      if (moves !== shown) logMoves(deps, report.plan);
      shown = moves;
      return { requeueAfterMs: everyMs };
    },
  });
  const soon = () => controller.enqueue(key, gatherMs);
  sources.policies.addHandler({
    added: () => controller.enqueue(key),
    // What we write ourselves is the status, which is no reason to look again.
    updated: (policy, before) => {
      const { generation, deletionTimestamp } = before.metadata;
      const same = policy.metadata.generation === generation && policy.metadata.deletionTimestamp === deletionTimestamp;
      if (!same) controller.enqueue(key);
    },
    deleted: () => controller.enqueue(key),
  });
  sources.volumes.addHandler({ added: soon, updated: soon, deleted: soon });
  sources.claims.addHandler({ added: soon, updated: soon, deleted: soon });
  sources.migrations.addHandler({
    added: soon,
    // Each step is written; only the end makes room for others.
    updated: (migration, before) => {
      if (migration.result !== before.result) soon();
    },
    deleted: soon,
  });
  controller.enqueue(key);
  return controller
    .watch(sources.policies, () => [])
    .watch(sources.volumes, () => [])
    .watch(sources.claims, () => [])
    .watch(sources.migrations, () => []);
}

function movesText(plan: Plan | undefined): string {
  return (plan?.moves ?? []).map(({ volume, target, dryRun }) => `${volume.name} ${target} ${dryRun}`).join("\n");
}

function logMoves({ logger }: ControllerDeps, plan: Plan | undefined): void {
  for (const { volume, policyName, tier, target, message, moves, dryRun } of plan?.moves ?? []) {
    const pools = moves.map(({ fromPool, toPool }) => `${fromPool} to ${toPool}`);
    const what = dryRun ? "dry run: would move a volume" : "a volume should move";
    logger.info({ volume: volume.name, policy: policyName, from: tier, to: target, pools, why: message }, what);
  }
}
