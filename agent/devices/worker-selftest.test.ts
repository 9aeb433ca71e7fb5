import { expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { workerSelfTest } from "./worker-selftest.ts";

test("every thread starts and answers from where this program has it", async () => {
  const lines = ["health of devices: answers", "commands to zones: answers"];
  expect(await workerSelfTest(systemClock)).toEqual({ ok: true, lines });
});
