/** A volume whose migration has failed is tried again later, and each time later. Pure. */
import { policyHoldReasons } from "../migration/policy-hold.ts";
import type { KnownMigration } from "./known-migrations.ts";
import type { Block } from "./model.ts";

export const retryMs = 600_000;
/** After one that was overtaken by a change: what is decided anew may be overtaken again. */
export const supersededRetryMs = 30_000;
export const retryMsMax = 86_400_000;

const failures: ReadonlySet<string> = new Set(["Failed", "TimedOut", "Aborted", "Superseded", "Unknown"]);

/** What holds a volume back after failures, refusals and ends by hand; undefined if nothing does. `migrations`: those of the volume. */
export function retryBlock(migrations: readonly KnownMigration[], nowMs: number): Block | undefined {
  const ended = migrations
    // That its policy might begin nothing says nothing of the volume.
    .filter(({ end }) => end !== undefined && !(end.result === "Superseded" && policyHoldReasons.has(end.reason)))
    .sort((a, b) => (b.end?.endedMs ?? 0) - (a.end?.endedMs ?? 0) || (a.name < b.name ? 1 : -1));
  const until = ended.findIndex(({ end }) => !failures.has(end?.result ?? ""));
  const row = until === -1 ? ended : ended.slice(0, until);
  const [latest] = row;
  if (latest?.end === undefined) return undefined;
  const firstMs = latest.end.result === "Superseded" ? supersededRetryMs : retryMs;
  const pauseMs = Math.min(retryMsMax, firstMs * 2 ** Math.min(20, row.length - 1));
  const notBeforeMs = latest.end.endedMs + pauseMs;
  if (notBeforeMs <= nowMs) return undefined;
  const { result, reason, message } = latest.end;
  return {
    action: "wait",
    reason: "FailedBefore",
    message: `its last migration (${latest.name}) ended with ${result}, ${reason}: ${message.slice(0, 300)}; tried again at ${new Date(notBeforeMs).toISOString()}`,
    notBeforeMs,
  };
}
