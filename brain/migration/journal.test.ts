import { describe, expect, test } from "bun:test";
import { migrationStatusSchema, migrationStepsMax } from "@couchestor/common/crd/migration.ts";
import { begin, emptyStatus, ended, ending, held, hold, letGo, nextNumber, noted, openStep, tried } from "./journal.ts";

const at = "2026-01-01T00:00:00.000Z";
const cordon = { kind: "PoolCordon" as const, target: "hot-1", detail: "replicas" };

describe("the journal", () => {
  test("has one open step at most, and changes no other", () => {
    let status = begin(emptyStatus, "SteerPlacement", { count: "3" }, at);
    status = ended(noted(tried(tried(status)), { leftAlone: "p" }), "Done", at, { observed: { x: "1" } });
    expect(openStep(status)).toBeUndefined();
    expect(status.steps[0]).toMatchObject({ attempts: 2, state: "Done", observed: { leftAlone: "p", x: "1" } });
    const closed = ended(tried(status), "Failed", at, { error: "late" });
    expect(closed).toEqual(status);
  });

  test("never grows over its limit: ended steps make room, numbers go on, and it stays what the schema takes", () => {
    let status = emptyStatus;
    for (let i = 1; i <= 3 * migrationStepsMax; i++) {
      status = begin(status, "SteerPlacement", { count: "3" }, at, 1);
      expect(openStep(status)?.number).toBe(i);
      status = ended(status, "Failed", at, { error: "x".repeat(5_000) });
    }
    expect(status.steps.length).toBeLessThanOrEqual(migrationStepsMax);
    expect((status.stepsDropped ?? 0) + status.steps.length).toBe(3 * migrationStepsMax);
    expect(nextNumber(status)).toBe(3 * migrationStepsMax + 1);
    expect(migrationStatusSchema.safeParse(status).error).toBeUndefined();
  });

  test("holds each thing once, as it was last written, and lets go of exactly that", () => {
    let status = hold(emptyStatus, cordon, "Intended");
    status = hold(status, { ...cordon, target: "hot-2" }, "Intended");
    status = hold(status, cordon, "Set");
    expect(held(status).map(({ target, state }) => `${target} ${state}`)).toEqual(["hot-2 Intended", "hot-1 Set"]);
    expect(held(letGo(status, { ...cordon, detail: "other" })).length).toBe(2);
    expect(held(letGo(status, cordon)).map(({ target }) => target)).toEqual(["hot-2"]);
  });

  test("keeps the first reason for which it is to end", () => {
    const aborted = ending(emptyStatus, { result: "Aborted", reason: "Aborted", message: "a" });
    expect(ending(aborted, { result: "TimedOut", reason: "Timeout", message: "b" }).ending?.reason).toBe("Aborted");
  });
});
