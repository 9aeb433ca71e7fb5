/** Events for `kubectl describe sp`: which volumes should move, each told once as long as the decision stands. */
import type { EventText } from "../kube/events.ts";
import type { Plan, PlanEntry } from "../tiering/model.ts";

/** Decisions told of one policy at a time; the plan has all of them. */
export const toldMax = 10;

export interface MoveEvent {
  policyName: string;
  text: EventText;
}

/** Remembers what has been told. */
export class MoveTeller {
  #told = new Set<string>();

  /** What is new in this plan. */
  news(plan: Plan | undefined): MoveEvent[] {
    if (plan === undefined) return [];
    const standing = new Set(plan.moves.map(keyOf));
    const fresh = plan.moves.filter((entry) => !this.#told.has(keyOf(entry)));
    const perPolicy = new Map<string, number>();
    const events: MoveEvent[] = [];
    for (const entry of fresh) {
      const count = (perPolicy.get(entry.policyName) ?? 0) + 1;
      perPolicy.set(entry.policyName, count);
      if (count <= toldMax) events.push({ policyName: entry.policyName, text: textOf(entry) });
    }
    // What no longer stands is told again if it comes back.
    this.#told = standing;
    return events;
  }
}

function keyOf({ policyName, volume, target, dryRun }: PlanEntry): string {
  return `${policyName} ${volume.uuid} ${target} ${dryRun}`;
}

function textOf({ volume, tier, target, moves, message, dryRun }: PlanEntry): EventText {
  const where = moves.map(({ fromPool, toPool }) => `${fromPool} to ${toPool}`).join(", ");
  return {
    type: "Normal",
    reason: dryRun ? "WouldMove" : "ShouldMove",
    action: "Decide",
    note: `${volume.name} (${volume.claim.namespace}/${volume.claim.name}), ${tier} to ${target}: ${where}. ${message}`,
  };
}
