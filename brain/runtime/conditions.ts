/** Conditions of a status, changed only when something has changed, so that a status at rest is not written. */
import type { Condition } from "@couchestor/common/crd/object.ts";

export interface ConditionUpdate {
  type: string;
  status: "True" | "False" | "Unknown";
  /** One word in CamelCase, for programs. */
  reason: string;
  /** For people: what is the case, and what to do. */
  message: string;
  /** The generation of the spec that this speaks of. */
  observedGeneration?: number;
}

const messageCharactersMax = 2_000;

/** The conditions with these in them; the very same array if nothing changes. `lastTransitionTime` moves with `status` only. Sorted by type. */
export function withConditions(
  before: readonly Condition[] | undefined,
  updates: readonly ConditionUpdate[],
  now: string,
): Condition[] {
  const byType = new Map((before ?? []).map((condition) => [condition.type, condition]));
  let changed = before === undefined;
  for (const update of updates) {
    const message = shortened(update.message);
    const old = byType.get(update.type);
    const next: Condition = {
      ...update,
      message,
      lastTransitionTime: old?.status === update.status ? old.lastTransitionTime : now,
    };
    if (old !== undefined && Bun.deepEquals(old, next)) continue;
    byType.set(update.type, next);
    changed = true;
  }
  if (!changed) return before as Condition[];
  return [...byType.values()].sort((a, b) => (a.type < b.type ? -1 : 1));
}

/** The conditions without this type; the same array if it isn't there. */
export function withoutCondition(before: readonly Condition[], type: string): Condition[] {
  return before.some((condition) => condition.type === type)
    ? before.filter((condition) => condition.type !== type)
    : (before as Condition[]);
}

/** Whether the condition is there and `True` for this generation (any, if not given). */
export function isTrue(conditions: readonly Condition[] | undefined, type: string, generation?: number): boolean {
  const found = conditions?.find((condition) => condition.type === type);
  return found?.status === "True" && (generation === undefined || found.observedGeneration === generation);
}

function shortened(message: string): string {
  return message.length <= messageCharactersMax ? message : `${message.slice(0, messageCharactersMax - 1)}…`;
}
