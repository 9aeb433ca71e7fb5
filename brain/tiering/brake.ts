/** The brake: a policy whose migrations fail one after the other begins no more of them until somebody has looked. Pure. */
import { apiGroup } from "@couchestor/common/crd/object.ts";
import type { StoragePolicy } from "@couchestor/common/crd/storage-policy.ts";
import { parseTimestamp } from "./cooldown.ts";
import { isOfPolicy, type KnownMigration } from "./known-migrations.ts";
import type { Block } from "./model.ts";

/** On a StoragePolicy: failures before this time don't count any more. */
export const resumeAnnotation = `${apiGroup}/resume-migrations`;

const failures: ReadonlySet<string> = new Set(["Failed", "TimedOut", "Unknown"]);

/** Failed in the middle, and not refused before anything was done: that is no sign of trouble. */
export function hasFailed({ end }: KnownMigration): boolean {
  return end !== undefined && failures.has(end.result) && !end.untouched;
}

/** What holds a policy back after failures in a row; undefined if nothing does. */
export function brakeOf({ metadata, spec }: StoragePolicy, migrations: readonly KnownMigration[]): Block | undefined {
  const limit = spec.pauseAfterFailures;
  if (limit === 0) return undefined;
  const resumedMs = parseTimestamp(metadata.annotations?.[resumeAnnotation] ?? "") ?? 0;
  const ended = migrations
    .filter((migration) => isOfPolicy(migration, metadata) && (migration.end?.endedMs ?? 0) > resumedMs)
    .filter(({ policyGeneration }) => policyGeneration === undefined || policyGeneration === metadata.generation)
    // What was called off or overtaken says nothing.
    .filter((migration) => migration.end?.result === "Succeeded" || hasFailed(migration))
    .sort((a, b) => (b.end?.endedMs ?? 0) - (a.end?.endedMs ?? 0) || (a.name < b.name ? 1 : -1));
  const untilSuccess = ended.findIndex((migration) => !hasFailed(migration));
  const row = untilSuccess === -1 ? ended : ended.slice(0, untilSuccess);
  const [latest] = row;
  if (latest?.end === undefined || row.length < limit) return undefined;
  const { reason, message } = latest.end;
  return {
    action: "wait",
    reason: "Paused",
    message: `${row.length} migrations in a row have failed, the last one (${latest.name}) with ${reason}: ${message.slice(0, 200)}. When that is mended, resume with: kubectl annotate sp ${metadata.name} --overwrite ${resumeAnnotation}="$(date -u +%FT%TZ)"; a change of the policy's spec resumes it as well`,
  };
}
