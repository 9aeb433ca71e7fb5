import { expect, test } from "bun:test";
import { AppError } from "../errors/app-error.ts";
import { FakeClock } from "../testing/fake-clock.ts";
import { createPolicy, type PolicySettings } from "./policies.ts";
import { SingleFlight } from "./single-flight.ts";
import { TokenBucket } from "./token-bucket.ts";

const quick: PolicySettings = {
  timeoutMs: 20,
  attemptsMax: 3,
  pauseMs: 1,
  pauseMsMax: 2,
  failuresToOpen: 4,
  openMs: 60_000,
};
const unavailable = () => new AppError("Unavailable", "down");

test("a retryable failure is tried again, up to the limit", async () => {
  let calls = 0;
  const flaky = async () => {
    if (++calls < 3) throw unavailable();
    return calls;
  };
  expect(await createPolicy("n1", quick).execute(flaky)).toBe(3);
  calls = -100;
  await expect(createPolicy("n1", quick).execute(flaky)).rejects.toThrow("down");
  expect(calls).toBe(-97);
});

test("a refusal is not tried again and does not open the breaker", async () => {
  const policy = createPolicy("n1", quick);
  let calls = 0;
  for (let i = 0; i < 10; i++) {
    const refused = policy.execute(async () => {
      calls++;
      throw new AppError("NotFound", "no such thing");
    });
    await expect(refused).rejects.toMatchObject({ code: "NotFound" });
  }
  expect(calls).toBe(10);
});

test("a call that hangs ends with Timeout and its signal aborts", async () => {
  let aborted = 0;
  const hang = (signal: AbortSignal) =>
    new Promise<never>(() => signal.addEventListener("abort", () => aborted++, { once: true }));
  const call = createPolicy("n1", { ...quick, attemptsMax: 2 }).execute(hang);
  await expect(call).rejects.toMatchObject({ code: "Timeout", data: { peer: "n1" } });
  expect(aborted).toBe(2);
});

test("a peer that fails again and again is refused at once", async () => {
  const policy = createPolicy("n1", { ...quick, attemptsMax: 1 });
  let calls = 0;
  const down = async () => {
    calls++;
    throw unavailable();
  };
  for (let i = 0; i < 10; i++) await expect(policy.execute(down)).rejects.toMatchObject({ code: "Unavailable" });
  expect(calls).toBe(quick.failuresToOpen);
  await expect(policy.execute(down)).rejects.toThrow("n1 failed 4 times in a row, last: down; not asked again yet");
});

test("the caller's signal ends a call", async () => {
  const caller = new AbortController();
  const call = createPolicy("n1", { ...quick, timeoutMs: 60_000, attemptsMax: 1 }).execute(
    (signal) => new Promise<never>((_, reject) => signal.addEventListener("abort", () => reject(signal.reason))),
    caller.signal,
  );
  caller.abort(new AppError("Cancelled", "no longer wanted"));
  await expect(call).rejects.toBeDefined();
});

test("callers of one key share one run; the next call starts anew", async () => {
  const flights = new SingleFlight<string, number>();
  const gate = Promise.withResolvers<number>();
  let runs = 0;
  const work = () => {
    runs++;
    return gate.promise;
  };
  const both = [flights.run("a", work), flights.run("a", work)];
  expect(flights.inFlight).toBe(1);
  gate.resolve(7);
  expect(await Promise.all(both)).toEqual([7, 7]);
  expect([runs, flights.inFlight]).toEqual([1, 0]);
  await expect(
    flights.run("a", () => {
      throw new Error("sync");
    }),
  ).rejects.toThrow("sync");
  expect(await flights.run("a", async () => 8)).toBe(8);
});

test("a bucket holds its rate over time, bursts included", async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { ratePerSecond: 100, burst: 50 });
  let taken = 0;
  const taker = (async () => {
    for (let i = 0; i < 30; i++) {
      await bucket.take(20);
      taken += 20;
    }
  })();
  await clock.advance(1000);
  expect(taken).toBeGreaterThanOrEqual(120);
  expect(taken).toBeLessThanOrEqual(150);
  await clock.advance(10_000);
  await taker;
  expect(taken).toBe(600);
});

test("a request bigger than the burst is served in its turn and paid for by those after it", async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { ratePerSecond: 10, burst: 10 });
  const order: string[] = [];
  const big = bucket.take(30).then(() => order.push("big"));
  const small = bucket.take(5).then(() => order.push("small"));
  await clock.advance(2_000);
  expect(order).toEqual(["big"]);
  await clock.advance(1_000);
  await Promise.all([big, small]);
  expect(order).toEqual(["big", "small"]);
});

test("who gives up takes nothing, and the next one is served", async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { ratePerSecond: 10, burst: 10 });
  expect(bucket.tryTake(10)).toBe(true);
  expect(bucket.tryTake(1)).toBe(false);
  const gone = new AbortController();
  const first = bucket.take(10, gone.signal).catch(() => "gave up");
  const second = bucket.take(5).then(() => "served");
  await clock.advance(200);
  gone.abort(new Error("client left"));
  expect(await first).toBe("gave up");
  await clock.advance(400);
  expect(await second).toBe("served");
});

test("a new rate reaches those who wait", async () => {
  const clock = new FakeClock();
  const bucket = new TokenBucket(clock, { ratePerSecond: 0.001, burst: 1 });
  bucket.tryTake(1);
  const waiting = bucket.take(1).then(() => "served");
  await clock.advance(100);
  bucket.setRate(1000);
  await clock.advance(200);
  expect(await waiting).toBe("served");
  expect(() => bucket.setRate(0)).toThrow("ratePerSecond: got 0, allowed is a number above 0");
});
