/** Events from transitions of conditions, for `kubectl describe`: what came to be, what ceased. Pure. */
import type { Condition, Resource } from "@couchestor/common/crd/object.ts";
import type { EventText } from "../kube/events.ts";

/** Conditions that are good news when they are False. */
const badWhenTrue: ReadonlySet<string> = new Set(["Conflict", "Degraded"]);

/** What to tell of a change from `before` to `after`. A condition that appears is told only if it is bad news. */
export function conditionEvents(
  before: readonly Condition[] | undefined,
  after: readonly Condition[] | undefined,
): EventText[] {
  const old = new Map((before ?? []).map((condition) => [condition.type, condition]));
  return (after ?? []).flatMap(({ type, status, reason, message }) => {
    const was = old.get(type);
    if (was?.status === status && was.reason === reason) return [];
    const good = status !== "Unknown" && (status === "True") !== badWhenTrue.has(type);
    if (was === undefined && good) return [];
    return [{ type: good ? ("Normal" as const) : ("Warning" as const), reason, action: "Evaluate", note: message }];
  });
}

/** The conditions of a resource, wherever its kind has them. */
export function conditionsOf(resource: Resource): readonly Condition[] | undefined {
  return (resource.status as { conditions?: Condition[] } | undefined)?.conditions;
}
