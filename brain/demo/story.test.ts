import { describe, expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { createOutput } from "../cli/output.ts";
import { Story } from "./story.ts";

function stage() {
  const clock = new FakeClock();
  const lines: string[] = [];
  const stream = { isTty: false, columns: 60, write: (text: string | Uint8Array) => void lines.push(String(text)) };
  const output = createOutput({ json: false, stdout: stream, stderr: stream, clock, env: {} });
  return { clock, lines, story: new Story(output, clock) };
}

describe("the demo's story", () => {
  test("is good only if every step is, goes on after a failed comparison, and tells times", async () => {
    const { clock, lines, story } = stage();
    expect(await story.step("one", "the first", async () => ({ ok: true, text: "fine", value: 7 }))).toBe(7);
    expect(story.ok).toBe(true);
    await story.step("two", "the second", async () => {
      await Promise.all([clock.advance(1500), clock.sleep(1500)]);
      return { ok: false, text: "NOT equal: first difference at byte 7" };
    });
    expect(story.ok).toBe(false);
    await story.step("three", "the third", async () => ({ ok: true, text: "fine" }));
    expect(story.ok).toBe(false);
    expect(lines.join("")).toContain("✗  2  the second  1.5 s\n      NOT equal: first difference at byte 7\n");
  });

  test("ends with an error, which it keeps and shows", async () => {
    const { lines, story } = stage();
    const failing = story.step("one", "the first", () => Promise.reject(new AppError("NoSpace", "all pools are full")));
    await expect(failing).rejects.toThrow("all pools are full");
    expect(story.ok).toBe(false);
    expect(story.steps[0]).toMatchObject({ ok: false, error: { code: "NoSpace" } });
    story.summary();
    expect(lines.join("")).toContain("✗  one   0.0 s  all pools are full\n");
  });
});
