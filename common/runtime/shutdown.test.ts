import { expect, test } from "bun:test";
import { FakeClock } from "../testing/fake-clock.ts";
import { ShutdownGroup } from "./shutdown.ts";

test("what was started last stops first, children in their place", async () => {
  const order: string[] = [];
  const root = new ShutdownGroup("agent", new FakeClock());
  root.add("pools", 100, () => void order.push("pools"));
  const http = root.child("http", 100);
  http.add("cluster", 100, async () => void order.push("cluster"));
  http.add("admin", 100, () => void order.push("admin"));
  root.add("heartbeat", 100, () => void order.push("heartbeat"));
  const results = await root.run();
  expect(order).toEqual(["heartbeat", "admin", "cluster", "pools"]);
  expect(results.map((result) => result.name)).toEqual([
    "agent/heartbeat",
    "agent/http/admin",
    "agent/http/cluster",
    "agent/pools",
  ]);
  expect(await root.run()).toBe(results);
});

test("a step that hangs or fails does not keep the others from stopping", async () => {
  const clock = new FakeClock();
  const root = new ShutdownGroup("brain", clock);
  let closed = false;
  let aborted = false;
  root.add("store", 1000, () => {
    closed = true;
  });
  root.add("hangs", 500, (signal) => {
    signal.addEventListener("abort", () => {
      aborted = true;
    });
    return new Promise(() => undefined);
  });
  root.add("fails", 500, () => Promise.reject(new Error("broken pipe")));
  const done = root.run();
  await clock.advance(500);
  const results = await done;
  expect(results.map(({ outcome }) => outcome)).toEqual(["failed", "late", "done"]);
  expect(results[1]?.tookMs).toBe(500);
  expect([closed, aborted]).toEqual([true, true]);
});

test("a deadline of a group bounds all of its steps", async () => {
  const clock = new FakeClock();
  const root = new ShutdownGroup("agent", clock);
  root.child("http", 300).add("stuck", 10_000, () => new Promise(() => undefined));
  const done = root.run();
  await clock.advance(300);
  expect(await done).toMatchObject([{ name: "agent/http", outcome: "late" }]);
});
