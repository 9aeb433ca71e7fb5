/**
 * From findings to a verdict that does not flap: what is certain counts at once, what may be noise after several looks, and neither goes before it
 * has been absent for a while. A look that failed is no look: nothing appears or goes by it. Pure.
 */
import type { DeviceHealthState } from "@couchestor/common/api/devices.ts";
import type { Finding } from "./findings.ts";
import type { HealthLimits } from "./limits.ts";

export interface Remembered {
  readonly finding: Finding;
  /** Looks in a row that had it. */
  readonly seen: number;
  readonly counts: boolean;
  readonly lastSeenMs: number;
}

/** Findings by their code, of one source. */
export type Memory = ReadonlyMap<string, Remembered>;

/** The memory after another look of the same source at `nowMs`. */
export function afterLook(memory: Memory, findings: readonly Finding[], nowMs: number, limits: HealthLimits): Memory {
  const next = new Map<string, Remembered>();
  for (const [code, old] of memory) {
    const { clearWearingMs, clearFailingMs } = limits;
    const clearMs = old.finding.level === "failing" ? clearFailingMs : clearWearingMs;
    if (old.counts && nowMs - old.lastSeenMs < clearMs) next.set(code, { ...old, seen: 0 });
  }
  for (const finding of findings) {
    const old = memory.get(finding.code);
    const seen = (old?.seen ?? 0) + 1;
    const isConfirmed = finding.isCertain || seen >= limits.confirmations;
    if (old?.counts && !isWorse(finding, old.finding)) {
      // Milder than before: the graver one stays until its own time is over, unless this look confirms it.
      const isSame = finding.level === old.finding.level;
      const expired = nowMs - old.lastSeenMs >= limits.clearFailingMs;
      if (isSame || expired) next.set(finding.code, { finding, seen, counts: true, lastSeenMs: nowMs });
      else next.set(finding.code, { ...old, seen });
      continue;
    }
    if (old?.counts && !isConfirmed) next.set(finding.code, { ...old, seen, lastSeenMs: nowMs });
    else next.set(finding.code, { finding, seen, counts: isConfirmed, lastSeenMs: nowMs });
  }
  return next;
}

function isWorse(a: Finding, b: Finding): boolean {
  return a.level === "failing" && b.level === "wearing";
}

/** The worst of what counts, with the reasons, the gravest first. */
export function verdictOf(memories: readonly Memory[]): {
  state: Extract<DeviceHealthState, "Healthy" | "Wearing" | "Failing">;
  reasons: string[];
} {
  const counting = memories
    .flatMap((memory) => [...memory.values()])
    .filter(({ counts }) => counts)
    .map(({ finding }) => finding)
    .sort((a, b) => a.level.localeCompare(b.level) || a.code.localeCompare(b.code));
  const worst = counting[0]?.level;
  return {
    state: worst === "failing" ? "Failing" : worst === "wearing" ? "Wearing" : "Healthy",
    reasons: counting.map(({ text }) => text),
  };
}
