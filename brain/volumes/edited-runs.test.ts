import { expect, test } from "bun:test";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { silentLog } from "../ports.ts";
import { EditedRuns } from "./edited-runs.ts";
import type { Services } from "./services.ts";

test("runs whose status nobody can write don't keep the others from being told", async () => {
  const clock = new FakeClock();
  const unsaid = new Set(Array.from({ length: 40 }, (_, i) => `bad-${i}`));
  unsaid.add("good");
  const tried = new Set<string>();
  const swapRunStatus = async (name: string): Promise<void> => {
    tried.add(name);
    if (name !== "good") throw new AppError("InvalidArgument", "the API server refuses this status");
    unsaid.delete(name);
  };
  const services = { context: { clock, log: silentLog }, catalogue: { runs: { unsaid }, swapRunStatus } };
  const edits = new EditedRuns(services as unknown as Services);
  for (let look = 0; look < 4; look++) {
    edits.tick();
    await edits.settle();
    await clock.advance(1_000);
  }
  expect([unsaid.has("good"), tried.size, unsaid.size]).toEqual([false, 41, 40]);
});
