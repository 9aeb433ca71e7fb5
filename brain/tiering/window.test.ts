import { expect, test } from "bun:test";
import { scheduleProblems, windowOf } from "./window.ts";

const at = (text: string) => Date.parse(text);
const nightly = { cron: "0 1 * * *", duration: "5h", timeZone: "Europe/Vienna" };

test("migrations may begin while the window is open, by the clock of its time zone", () => {
  // Vienna is one hour ahead in winter and two in summer.
  expect(windowOf(nightly, at("2026-01-10T00:00:00Z"))).toBeUndefined();
  expect(windowOf(nightly, at("2026-01-10T04:59:59Z"))).toBeUndefined();
  expect(windowOf(nightly, at("2026-01-10T05:00:01Z"))).toMatchObject({ notBeforeMs: at("2026-01-11T00:00:00Z") });
  expect(windowOf(nightly, at("2026-01-09T23:59:59Z"))).toMatchObject({ notBeforeMs: at("2026-01-10T00:00:00Z") });
  expect(windowOf(nightly, at("2026-07-10T22:59:59Z"))).toMatchObject({ reason: "OutsideWindow" });
  expect(windowOf(nightly, at("2026-07-10T23:00:00Z"))).toBeUndefined();
  expect(windowOf(undefined, 0)).toBeUndefined();
});

test("windows that are longer than their period are always open, and one that opens weekly says when", () => {
  const always = { cron: "0 * * * *", duration: "2h", timeZone: "UTC" };
  for (let hour = 0; hour < 24; hour++)
    expect(windowOf(always, at("2026-01-10T00:30:00Z") + hour * 3_600_000)).toBeUndefined();
  const weekly = { cron: "30 22 * * 6", duration: "1h", timeZone: "UTC" };
  expect(windowOf(weekly, at("2026-01-12T00:00:00Z"))?.message).toContain("opens at 2026-01-17T22:30:00.000Z");
});

test("what makes no sense is refused with what is allowed", () => {
  expect(scheduleProblems(nightly)).toEqual([]);
  expect(scheduleProblems({ ...nightly, cron: "0 1 * *" })).toEqual([
    expect.stringContaining("allowed are five fields"),
  ]);
  expect(scheduleProblems({ ...nightly, cron: "0 25 * * *" })).toEqual([expect.stringContaining('got "0 25 * * *"')]);
  expect(scheduleProblems({ ...nightly, timeZone: "Mars/Olympus" })).toEqual([
    expect.stringContaining("schedule.timeZone: got"),
  ]);
});
