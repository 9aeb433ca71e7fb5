/** A queue to a driver that answers as a controller does that fails at the wrong moment. */
import { expect, test } from "bun:test";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { errnoError } from "../core/errno.ts";
import type { Driver, DriverCalls } from "./driver.ts";
import { CommandQueue } from "./queue.ts";

const gone = 6; // ENXIO

/** Never answers, and says whether the queue was used after it was given back. */
function silentDriver() {
  const seen = { open: false, polls: 0, late: 0 };
  const calls = {
    cs_queue_open: () => {
      seen.open = true;
      return 0;
    },
    cs_queue_close: () => {
      seen.open = false;
      return 0;
    },
    cs_poll: () => {
      seen.polls++;
      if (!seen.open) seen.late++;
      return 0;
    },
  };
  const check: Driver["check"] = (result, operation, path) => {
    if (result < 0) throw errnoError(-result, operation, path);
    return result;
  };
  const driver = { kind: "spdk", calls: calls as unknown as DriverCalls, check, probe: () => [] } as const;
  return { seen, driver };
}

test("a queue whose device is found to be gone, and which is closed at once, is not polled any more when it is given back", async () => {
  const { seen, driver } = silentDriver();
  const queue = new CommandQueue(driver, 1, 8, "mock-0/1", new FakeClock());
  const codeOf = (run: Promise<unknown>) =>
    run.then(
      () => "no error",
      (error: { code?: string }) => error.code,
    );
  const first = codeOf(queue.run("read", () => 0));
  expect(await codeOf(queue.run("write", () => -gone))).toBe("ENODEV");
  expect(await first).toBe("ENODEV");
  await queue.close();
  await new Promise((resolve) => setImmediate(resolve));
  expect(seen).toMatchObject({ open: false, late: 0 });
  expect(seen.polls).toBeGreaterThan(0);
  expect(await codeOf(queue.run("read", () => 0))).toBe("EBADF");
});
