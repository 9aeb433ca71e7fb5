import { expect, test } from "bun:test";
import { closeSync, writeSync } from "node:fs";
import { EventHub, lookTurnsMax } from "./event-hub.ts";

const turn = () => new Promise<void>((resolve) => setImmediate(resolve));

test("a slow operation is waited for without looking on and on, and its end is still noticed", async () => {
  let looks = 0;
  let finished = false;
  const queue = {
    inFlight: 1,
    reap() {
      looks += 1;
      if (finished) this.inFlight = 0;
    },
  };
  const hub = new EventHub();
  hub.watch(queue);
  for (let i = 0; i < 3 * lookTurnsMax; i++) await turn();
  expect(looks).toBe(lookTurnsMax);

  finished = true;
  // What the kernel does when an operation is done.
  writeSync(hub.eventFile, new BigUint64Array([1n]));
  while (queue.inFlight > 0) await turn();

  const looksAtTheEnd = looks;
  for (let i = 0; i < 3 * lookTurnsMax; i++) await turn();
  expect(looks).toBe(looksAtTheEnd);
  closeSync(hub.eventFile);
});

test("an end before the thread waits is noticed within a turn or two", async () => {
  let looks = 0;
  const queue = {
    inFlight: 1,
    reap() {
      looks += 1;
      if (looks === 2) this.inFlight = 0;
    },
  };
  const hub = new EventHub();
  hub.watch(queue);
  for (let i = 0; i < 10; i++) await turn();
  expect(queue.inFlight).toBe(0);
  expect(looks).toBe(2);
  closeSync(hub.eventFile);
});
