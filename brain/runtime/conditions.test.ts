import { describe, expect, test } from "bun:test";
import { conditionSchema } from "@couchestor/common/crd/object.ts";
import { isTrue, withConditions, withoutCondition } from "./conditions.ts";

const t1 = "2026-01-01T00:00:00.000Z";
const t2 = "2026-01-02T00:00:00.000Z";
const ready = {
  type: "Ready",
  status: "True",
  reason: "Valid",
  message: "all is well",
  observedGeneration: 1,
} as const;

describe("conditions", () => {
  test("nothing new is the same array: a status at rest is not written", () => {
    const first = withConditions(undefined, [ready], t1);
    expect(withConditions(first, [{ ...ready }], t2)).toBe(first);
  });

  test("the transition time moves with the status, not with reason, message or generation", () => {
    const first = withConditions(undefined, [ready], t1);
    const second = withConditions(first, [{ ...ready, reason: "StillValid", observedGeneration: 2 }], t2);
    expect(second).toEqual([{ ...ready, reason: "StillValid", observedGeneration: 2, lastTransitionTime: t1 }]);
    const third = withConditions(second, [{ ...ready, status: "False" }], t2);
    expect(third[0]?.lastTransitionTime).toBe(t2);
    expect(first[0]?.lastTransitionTime).toBe(t1);
  });

  test("others stay, in order of type, and each fits the schema", () => {
    const conditions = withConditions(
      withConditions(undefined, [ready], t1),
      [{ ...ready, type: "Conflicting", status: "False" }],
      t2,
    );
    expect(conditions.map((condition) => condition.type)).toEqual(["Conflicting", "Ready"]);
    for (const condition of conditions) expect(conditionSchema.parse(condition)).toEqual(condition);
    expect(withoutCondition(conditions, "Conflicting").map((condition) => condition.type)).toEqual(["Ready"]);
    expect(withoutCondition(conditions, "Other")).toBe(conditions);
  });

  test("true for an older spec is not true for this one", () => {
    const conditions = withConditions(undefined, [ready], t1);
    expect([
      isTrue(conditions, "Ready"),
      isTrue(conditions, "Ready", 1),
      isTrue(conditions, "Ready", 2),
      isTrue(undefined, "Ready"),
    ]).toEqual([true, true, false, false]);
  });

  test("a message without end is cut", () => {
    const [condition] = withConditions(undefined, [{ ...ready, message: "x".repeat(100_000) }], t1);
    expect(condition?.message.length).toBe(2_000);
  });
});
