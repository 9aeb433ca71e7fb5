import { expect, test } from "bun:test";
import { FakeClock } from "./fake-clock.ts";

test("timers run in the order they are due, also those set on the way", async () => {
  const clock = new FakeClock();
  const seen: string[] = [];
  clock.after(30, () => seen.push(`c@${clock.monotonicMs()}`));
  clock.after(10, () => {
    seen.push(`a@${clock.monotonicMs()}`);
    clock.after(5, () => seen.push(`b@${clock.monotonicMs()}`));
  });
  const cancel = clock.after(20, () => seen.push("cancelled"));
  cancel();
  await clock.advance(25);
  expect(seen).toEqual(["a@10", "b@15"]);
  await clock.advance(5);
  expect(seen).toEqual(["a@10", "b@15", "c@30"]);
  expect(clock.pending).toBe(0);
});

test("a loop of sleeps runs once for each step of time", async () => {
  const clock = new FakeClock();
  let rounds = 0;
  const stop = new AbortController();
  const loop = (async () => {
    for (;;) {
      await clock.sleep(100, stop.signal);
      rounds++;
    }
  })().catch((reason: unknown) => reason);
  await clock.advance(1000);
  expect(rounds).toBe(10);
  stop.abort("stopped");
  expect(await loop).toBe("stopped");
  expect(clock.pending).toBe(0);
});

test("a jump of the wall clock leaves intervals alone", async () => {
  const clock = new FakeClock(1000);
  clock.jumpWall(-500);
  await clock.advance(10);
  expect([clock.wallMs(), clock.monotonicMs()]).toEqual([510, 10]);
});
