import { expect, test } from "bun:test";
import { TestCluster } from "../testing/test-cluster.ts";
import { ByteBudget } from "./byte-budget.ts";

const tick = () => new Promise<void>((resolve) => setImmediate(resolve));

test("never more than the budget is out, and what comes back serves who waits", async () => {
  const budget = new ByteBudget(100);
  const first = await budget.acquire(70, "foreground");
  let got = false;
  const second = budget.acquire(40, "foreground").then((release) => {
    got = true;
    return release;
  });
  await tick();
  expect([got, budget.usedBytes]).toEqual([false, 70]);
  first();
  first();
  (await second)();
  expect([got, budget.usedBytes]).toEqual([true, 0]);
});

test("foreground goes before background that waited longer; a big one is not starved by small ones", async () => {
  const budget = new ByteBudget(100);
  const held = await budget.acquire(100, "background");
  const order: string[] = [];
  const take = (name: string, bytes: number, priority: "foreground" | "background") =>
    budget.acquire(bytes, priority).then((release) => {
      order.push(name);
      release();
    });
  const all = [
    take("scrub", 10, "background"),
    take("big read", 90, "foreground"),
    take("small read", 10, "foreground"),
  ];
  held();
  await Promise.all(all);
  expect(order).toEqual(["big read", "small read", "scrub"]);
});

test("one who gives up leaves the line to the others; more than all counts as all", async () => {
  const budget = new ByteBudget(100);
  const held = await budget.acquire(1000, "foreground");
  const stop = new AbortController();
  const gone = budget.acquire(80, "foreground", stop.signal);
  const next = budget.acquire(10, "foreground");
  stop.abort(new Error("gave up"));
  await expect(gone).rejects.toThrow("gave up");
  held();
  (await next)();
  expect(budget.usedBytes).toBe(0);
});

test("agents that are full of their own stripes still take and hand out each other's chunks", async () => {
  await using cluster = await TestCluster.create({ agents: 3, code: { family: "rs", k: 2, m: 1 } });
  const full = await Promise.all(
    [1, 2].map((index) => cluster.agent(index).budget.acquire(Number.MAX_SAFE_INTEGER, "foreground")),
  );
  await cluster.write(cluster.agent(0));
  expect(await cluster.read(cluster.agent(0))).toEqual(cluster.content);
  for (const release of full) release();
});
