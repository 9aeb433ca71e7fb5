import { describe, expect, test } from "bun:test";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { type QueueLimits, WorkQueue } from "./work-queue.ts";

function queueAt(clock: FakeClock, limits: Partial<QueueLimits> = {}, seed = 1): WorkQueue {
  return new WorkQueue({ clock, prng: seededPrng(seed) }, limits);
}

describe("work queue", () => {
  test("a key that is added often waits once", async () => {
    const queue = queueAt(new FakeClock());
    for (let i = 0; i < 100; i++) queue.add("a");
    queue.add("b");
    expect(await queue.next()).toBe("a");
    expect(await queue.next()).toBe("b");
    expect(queue.stats).toMatchObject({ waiting: 0, processing: 2, added: 101 });
  });

  test("a key that changes while it is worked on comes again afterwards, and never to two workers", async () => {
    const queue = queueAt(new FakeClock());
    queue.add("a");
    const key = await queue.next();
    queue.add("a");
    queue.add("a");
    const second = queue.next();
    expect(queue.stats).toMatchObject({ waiting: 0, processing: 1 });
    queue.done(key as string);
    expect(await second).toBe("a");
    queue.done("a");
    expect(queue.stats).toMatchObject({ waiting: 0, processing: 0 });
  });

  test("of two delays the sooner counts, and now counts most", async () => {
    const clock = new FakeClock();
    const queue = queueAt(clock);
    queue.addAfter("a", 5_000);
    queue.addAfter("a", 1_000);
    queue.addAfter("a", 9_000);
    queue.addAfter("b", 60_000);
    queue.add("b");
    expect(await queue.next()).toBe("b");
    queue.done("b");
    await clock.advance(999);
    expect(queue.stats).toMatchObject({ waiting: 0, delayed: 1 });
    await clock.advance(1);
    expect(await queue.next()).toBe("a");
    queue.done("a");
    await clock.advance(120_000);
    expect(queue.stats).toMatchObject({ waiting: 0, delayed: 0 });
    expect(clock.pending).toBe(0);
  });

  test("pauses double to their limit with jitter, and begin anew after a success", () => {
    const queue = queueAt(new FakeClock(), { backoffMs: 20, backoffMsMax: 1_000 });
    const pauses = Array.from({ length: 10 }, () => queue.retry("a"));
    for (const [i, pause] of pauses.entries()) {
      const grown = Math.min(1_000, 20 * 2 ** i);
      expect(pause).toBeGreaterThanOrEqual(grown / 2);
      expect(pause).toBeLessThanOrEqual(grown);
    }
    expect(new Set(pauses.slice(6)).size).toBeGreaterThan(1);
    queue.forget("a");
    expect(queue.failuresOf("a")).toBe(0);
    expect(queue.retry("a")).toBeLessThanOrEqual(20);
  });

  test("a full queue refuses new keys and says so; those it has are always taken", async () => {
    const queue = queueAt(new FakeClock(), { keysMax: 2 });
    expect([queue.add("a"), queue.addAfter("b", 100), queue.add("c"), queue.addAfter("d", 5)]).toEqual([
      true,
      true,
      false,
      false,
    ]);
    expect([queue.add("a"), queue.add("b")]).toEqual([true, true]);
    expect(queue.stats.refused).toBe(2);
    await queue.next();
    expect(queue.add("c")).toBe(true);
  });

  test("keys go out no faster than the rate", async () => {
    const clock = new FakeClock();
    const queue = queueAt(clock, { ratePerSecond: 10, burst: 5 });
    for (let i = 0; i < 30; i++) queue.add(`k${i}`);
    let taken = 0;
    void (async () => {
      while ((await queue.next()) !== undefined) taken += 1;
    })();
    await clock.advance(0);
    expect(taken).toBe(5);
    await clock.advance(1_000);
    expect(taken).toBeGreaterThanOrEqual(14);
    expect(taken).toBeLessThanOrEqual(15);
  });

  test("closing lets go of everybody and of every timer", async () => {
    const clock = new FakeClock();
    const queue = queueAt(clock);
    const waiting = [queue.next(), queue.next()];
    queue.addAfter("later", 1_000);
    queue.close();
    expect(await Promise.all(waiting)).toEqual([undefined, undefined]);
    expect(queue.add("a")).toBe(false);
    expect(await queue.next()).toBeUndefined();
    expect(clock.pending).toBe(0);
  });

  test("whatever is added, each last addition of a key is followed by work on it, and never two at once", async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const clock = new FakeClock();
      const prng = seededPrng(seed);
      const queue = queueAt(clock, {}, seed);
      const working = new Set<string>();
      const wantedAt = new Map<string, number>();
      const begunAt = new Map<string, number>();
      const worker = async () => {
        for (let key = await queue.next(); key !== undefined; key = await queue.next()) {
          if (working.has(key)) throw new Error(`seed ${seed}: two work on ${key}`);
          working.add(key);
          begunAt.set(key, clock.monotonicMs());
          await clock.sleep(prng.below(50));
          working.delete(key);
          if (prng.below(5) === 0) queue.retry(key);
          queue.done(key);
        }
      };
      const workers = [worker(), worker(), worker()];
      for (let i = 0; i < 200; i++) {
        const key = `k${prng.below(8)}`;
        const delayMs = prng.below(3) === 0 ? prng.below(100) : 0;
        queue.addAfter(key, delayMs);
        wantedAt.set(key, clock.monotonicMs());
        await clock.advance(prng.below(20));
      }
      await clock.advance(3_600_000);
      for (const [key, atMs] of wantedAt) expect(begunAt.get(key) ?? -1).toBeGreaterThanOrEqual(atMs);
      expect(queue.stats).toMatchObject({ waiting: 0, processing: 0 });
      queue.close();
      await Promise.all(workers);
    }
  });
});
