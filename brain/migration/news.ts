/** What has changed between two states of the journal that people should hear of. Pure. */
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import type { Journal } from "./journal.ts";
import type { MigrationNews } from "./ports.ts";

export function newsOf({ name, spec }: Journal, before: MigrationStatus, after: MigrationStatus): MigrationNews[] {
  const { volumeName, policyRef } = spec;
  const news = (type: MigrationNews["type"], reason: string, note: string): MigrationNews => ({
    migration: name,
    volumeName,
    policyRef,
    type,
    reason,
    note,
  });
  const told: MigrationNews[] = [];
  if (before.phase === "Pending" && after.phase !== "Pending" && after.baseline !== undefined)
    told.push(
      news("Normal", "MigrationStarted", `${volumeName} goes from ${spec.fromTier} to ${spec.toTier}: ${spec.reason}`),
    );
  if ((after.failures ?? 0) > (before.failures ?? 0))
    told.push(
      news("Warning", "MigrationRoundFailed", after.steps.findLast(({ error }) => error !== undefined)?.error ?? ""),
    );
  if (before.ending === undefined && after.ending !== undefined)
    told.push(news("Warning", "MigrationRollingBack", `${after.ending.reason}: ${after.ending.message}`));
  if (before.phase !== "Finished" && after.phase === "Finished" && after.outcome !== undefined) {
    const { result, reason, message } = after.outcome;
    told.push(news(result === "Succeeded" ? "Normal" : "Warning", `Migration${result}`, `${reason}: ${message}`));
  }
  return told;
}
