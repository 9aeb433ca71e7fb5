/** Label selectors as Kubernetes has them: all of `matchLabels` and all of `matchExpressions` must hold. An empty one selects everything. */
import { z } from "zod";

const expressionsMax = 32;
const valuesMax = 64;

export const labelSelectorSchema = z.object({
  matchLabels: z
    .record(z.string().max(317), z.string().max(63))
    .describe("Labels that must be there with exactly these values.")
    .optional(),
  matchExpressions: z
    .array(
      z.object({
        key: z.string().min(1).max(317).describe("The label that the expression looks at."),
        operator: z
          .enum(["In", "NotIn", "Exists", "DoesNotExist"])
          .describe(
            "In, NotIn (one of the values; NotIn also holds when the label is missing), Exists or DoesNotExist.",
          ),
        values: z
          .array(z.string().max(63))
          .max(valuesMax)
          .describe("What the label is compared with: at least one for In and NotIn, none for Exists and DoesNotExist.")
          .optional(),
      }),
    )
    .max(expressionsMax)
    .describe("Expressions that must all hold.")
    .meta({
      "x-kubernetes-validations": [
        {
          rule: "self.all(e, e.operator in ['In', 'NotIn'] ? has(e.values) && e.values.size() > 0 : !has(e.values) || e.values.size() == 0)",
          message:
            "matchExpressions: values: needed with operator In or NotIn, and not allowed with Exists or DoesNotExist",
        },
      ],
    })
    .optional(),
});
export type LabelSelector = z.infer<typeof labelSelectorSchema>;

/** Whether the labels are selected. */
export function selects(selector: LabelSelector, labels: Readonly<Record<string, string>>): boolean {
  for (const [key, value] of Object.entries(selector.matchLabels ?? {}))
    if (labelOf(labels, key) !== value) return false;
  return (selector.matchExpressions ?? []).every((expression) => holds(expression, labels));
}

type Expression = NonNullable<LabelSelector["matchExpressions"]>[number];

function holds({ key, operator, values = [] }: Expression, labels: Readonly<Record<string, string>>): boolean {
  const value = labelOf(labels, key);
  switch (operator) {
    case "In":
      return value !== undefined && values.includes(value);
    case "NotIn":
      return value === undefined || !values.includes(value);
    case "Exists":
      return value !== undefined;
    case "DoesNotExist":
      return value === undefined;
  }
}

/** The selector as `kubectl -l` writes it; `everything` when it is empty. */
export function formatSelector(selector: LabelSelector): string {
  const labels = Object.entries(selector.matchLabels ?? {}).map(([key, value]) => `${key}=${value}`);
  const expressions = (selector.matchExpressions ?? []).map(({ key, operator, values = [] }) => {
    if (operator === "Exists") return key;
    if (operator === "DoesNotExist") return `!${key}`;
    return `${key} ${operator === "In" ? "in" : "notin"} (${values.join(",")})`;
  });
  return [...labels, ...expressions].join(",") || "everything";
}

/** What is wrong with a selector, each naming its field; nothing if it is fine. */
export function selectorProblems(selector: LabelSelector, field: string): string[] {
  return (selector.matchExpressions ?? []).flatMap(({ operator, values = [] }, i) => {
    const at = `${field}.matchExpressions[${i}].values`;
    const compares = operator === "In" || operator === "NotIn";
    if (compares && values.length === 0) return [`${at}: got none, ${operator} needs at least one`];
    if (!compares && values.length > 0) return [`${at}: got ${values.length}, ${operator} takes none`];
    return [];
  });
}

/** A label of the object itself, not of its prototype. */
function labelOf(labels: Readonly<Record<string, string>>, key: string): string | undefined {
  return Object.hasOwn(labels, key) ? labels[key] : undefined;
}
