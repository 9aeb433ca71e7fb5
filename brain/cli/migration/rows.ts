/** How a migration is shown in a line. */
import type { MigrationRow } from "@couchestor/common/api/migrations.ts";
import { approximateBytes } from "@couchestor/common/units/bytes.ts";
import { formatDuration } from "@couchestor/common/units/duration.ts";
import type { Output, Tone } from "../output.ts";

/** `45 % of 1.2 GiB, 3m left`. */
export function progressText(row: MigrationRow, nowMs: number): string {
  const { phase, progressPercent, bytesTotal, estimatedEndAt } = row;
  if (phase === "Finished" || progressPercent === undefined) return "-";
  const of = bytesTotal === undefined ? "" : ` of ${approximateBytes(bytesTotal)}`;
  const leftMs = estimatedEndAt === undefined ? 0 : Date.parse(estimatedEndAt) - nowMs;
  const left = leftMs > 0 ? `, ${formatDuration(Math.ceil(leftMs / 1000) * 1000)} left` : "";
  return `${progressPercent} %${of}${left}`;
}

/** From its beginning to its end, or till now. */
export function tookText({ startedAt, endedAt }: MigrationRow, nowMs: number): string {
  if (startedAt === undefined) return "-";
  const ms = (endedAt === undefined ? nowMs : Date.parse(endedAt)) - Date.parse(startedAt);
  return formatDuration(Math.max(0, Math.round(ms / 1000)) * 1000);
}

export function stateText(output: Output, { phase, result }: MigrationRow): string {
  const text = result ?? phase;
  return output.paint(text, tones[text] ?? "warn");
}

const tones: Readonly<Record<string, Tone>> = {
  Succeeded: "good",
  Failed: "bad",
  TimedOut: "bad",
  Pending: "dim",
  Superseded: "dim",
  Aborted: "dim",
};
