import { describe, expect, test } from "bun:test";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { Leadership } from "./leadership.ts";
import { type Election, Manager, type ManagerOptions, type Part } from "./manager.ts";
import { Stopwatch } from "./stopwatch.ts";

/** An election that is won at once, `terms` times. */
class FakeElection implements Election {
  readonly log: string[];
  readonly #clock: FakeClock;
  #term = 0;
  current: Leadership | undefined;

  constructor(clock: FakeClock, log: string[]) {
    this.#clock = clock;
    this.log = log;
  }

  async campaign(signal: AbortSignal) {
    if (signal.aborted) return undefined;
    const stopwatch = new Stopwatch(this.#clock, () => undefined);
    this.#term += 1;
    const options = {
      identity: "me",
      term: this.#term,
      stopwatch,
      renewDeadlineMs: 1e9,
      renewalSent: stopwatch.mark(),
    };
    const leadership = new Leadership(options);
    this.current = leadership;
    return {
      leadership,
      release: async () => {
        this.log.push(`release ${leadership.term}`);
        leadership.end("released", "test");
      },
    };
  }
}

function world(options: (part: (name: string, more?: Partial<Part>) => Part) => ManagerOptions) {
  const clock = new FakeClock();
  const log: string[] = [];
  const part = (name: string, more: Partial<Part> = {}): Part => ({
    name,
    start: () => void log.push(`start ${name}`),
    stop: () => void log.push(`stop ${name}`),
    ...more,
  });
  const election = new FakeElection(clock, log);
  const manager = new Manager({ clock, logger: silentLogger(), election }, options(part));
  return { clock, log, election, manager };
}

describe("manager", () => {
  test("starts in order, stops the other way round, and gives the lease back when everything has stopped", async () => {
    const { clock, log, manager } = world((part) => ({
      always: [part("cache"), part("health")],
      whileLeader: ({ term }) => [part(`mover ${term}`), part(`decider ${term}`)],
    }));
    const stop = new AbortController();
    const ended = manager.run(stop.signal);
    await clock.advance(10);
    expect(manager.isLeader).toBe(true);
    stop.abort();
    await clock.advance(10);
    expect(await ended).toBe("stopped");
    expect(log).toEqual([
      "start cache",
      "start health",
      "start mover 1",
      "start decider 1",
      "stop decider 1",
      "stop mover 1",
      "release 1",
      "stop health",
      "stop cache",
    ]);
  });

  test("a lost term stops what acts, keeps the rest, and the next term gets parts of its own", async () => {
    const { clock, log, election, manager } = world((part) => ({
      always: [part("cache")],
      whileLeader: ({ term }) => [part(`mover ${term}`)],
    }));
    const stop = new AbortController();
    const ended = manager.run(stop.signal);
    await clock.advance(10);
    election.current?.end("lost", "test");
    await clock.advance(10);
    expect(manager.isLeader).toBe(false);
    await clock.advance(5_000);
    expect(manager.isLeader).toBe(true);
    expect(log).toEqual(["start cache", "start mover 1", "stop mover 1", "release 1", "start mover 2"]);
    stop.abort();
    await clock.advance(10);
    await ended;
  });

  test("a part of a term that doesn't stop in time ends the process: the lease is not given back", async () => {
    const { clock, log, manager } = world((part) => ({
      always: [part("cache")],
      whileLeader: () => [part("stuck", { stop: () => new Promise<void>(() => undefined), stopMsMax: 500 })],
    }));
    const stop = new AbortController();
    const ended = manager.run(stop.signal);
    await clock.advance(10);
    stop.abort();
    await clock.advance(600);
    expect(await ended).toBe("stuck");
    expect(manager.isLeader).toBe(false);
    expect(log).not.toContain("release 1");
    expect(log.at(-1)).toBe("stop cache");
  });

  test("a part that can't start stops those before it, and the error comes out", async () => {
    const { log, manager } = world((part) => ({
      always: [
        part("cache"),
        part("health", {
          start: () => {
            throw new Error("port taken");
          },
        }),
      ],
    }));
    await expect(manager.run(new AbortController().signal)).rejects.toThrow("port taken");
    expect(log).toEqual(["start cache", "stop health", "stop cache"]);
  });

  test("a leader whose parts can't start gives the lease back and rests before it tries again", async () => {
    let attempts = 0;
    const { clock, log, manager } = world((part) => ({
      always: [],
      whileLeader: () => {
        attempts += 1;
        return [
          part("broken", {
            start: () => {
              throw new Error("no");
            },
          }),
        ];
      },
    }));
    const stop = new AbortController();
    const ended = manager.run(stop.signal);
    await clock.advance(4_500);
    expect(attempts).toBe(5);
    expect(log.filter((line) => line.startsWith("release"))).toHaveLength(5);
    stop.abort();
    await clock.advance(10);
    await ended;
  });
});
