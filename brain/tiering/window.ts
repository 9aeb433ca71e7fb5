/** The maintenance window of a policy: migrations begin while it is open. Pure. */
import type { MigrationSchedule } from "@couchestor/common/crd/storage-policy.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { Cron } from "croner";
import type { Block } from "./model.ts";

/** What is wrong with the cron expression or the time zone; empty if nothing is. */
export function scheduleProblems({ cron, timeZone }: MigrationSchedule): string[] {
  if (cron.trim().split(/\s+/).length !== 5)
    return [`schedule.cron: got "${cron}", allowed are five fields: minute, hour, day of month, month, day of week`];
  try {
    new Intl.DateTimeFormat("en", { timeZone });
  } catch {
    return [`schedule.timeZone: got "${timeZone}", allowed is a name such as UTC or Europe/Vienna`];
  }
  try {
    const runs = new Cron(cron, { timezone: timeZone, paused: true });
    return runs.nextRun(new Date(0)) === null ? [`schedule.cron: got "${cron}", which is never`] : [];
  } catch (error) {
    return [`schedule.cron: got "${cron}": ${error instanceof Error ? error.message : String(error)}`];
  }
}

/** What holds a policy back outside its window; undefined while it is open, and without a schedule. */
export function windowOf(schedule: MigrationSchedule | undefined, nowMs: number): Block | undefined {
  if (schedule === undefined) return undefined;
  const runs = new Cron(schedule.cron, { timezone: schedule.timeZone, paused: true });
  // The first opening of those that would not have ended by now.
  const opening = runs.nextRun(new Date(nowMs - parseDuration(schedule.duration)))?.getTime();
  if (opening !== undefined && opening <= nowMs) return undefined;
  return {
    action: "wait",
    reason: "OutsideWindow",
    message:
      opening === undefined
        ? "its maintenance window never opens again"
        : `its maintenance window (${schedule.cron} for ${schedule.duration}, ${schedule.timeZone}) opens at ${new Date(opening).toISOString()}`,
    ...(opening === undefined ? {} : { notBeforeMs: opening }),
  };
}
