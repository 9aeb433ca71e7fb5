import { describe, expect, test } from "bun:test";
import { silentLogger } from "@couchestor/common/observe/logger.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { type SimFaults, SimLease, StoppableClock } from "../testing/sim-lease.ts";
import { LeaderElection } from "./leader-election.ts";
import type { Leadership } from "./leadership.ts";
import { leaseTimes } from "./lease.ts";
import type { BootClock } from "./stopwatch.ts";
import type { Term } from "./term.ts";

const noFaults: SimFaults = { delayMsMax: 5, lostPercent: 0 };

interface Brain {
  clock: StoppableClock;
  faults: SimFaults;
  term: Term | undefined;
  leadership: Leadership | undefined;
  stopCampaign(): void;
  /** Who leads, as it knows. */
  leader(): string;
}

function brain(
  world: FakeClock,
  lease: SimLease,
  name: string,
  options: { seed?: number; wallOffMs?: number; boot?: BootClock; absentMeansNew?: boolean } = {},
): Brain {
  const prng = seededPrng(options.seed ?? 1);
  const controller = new AbortController();
  const self: Brain = {
    clock: new StoppableClock(world, options.wallOffMs),
    faults: noFaults,
    term: undefined,
    leadership: undefined,
    stopCampaign: () => controller.abort(),
    leader: () => election.leader,
  };
  const election = new LeaderElection(
    {
      store: lease.view(prng, () => self.faults),
      clock: self.clock,
      prng,
      logger: silentLogger(),
      boot: options.boot ?? (() => world.monotonicMs()),
    },
    { name, absentMeansNew: options.absentMeansNew ?? true },
  );
  void (async () => {
    while (!controller.signal.aborted) {
      self.term = await election.campaign(controller.signal);
      self.leadership = self.term?.leadership;
      await self.leadership?.whenEnded;
    }
  })();
  return self;
}

/** Whether this brain could do something now. */
const acts = (one: Brain): boolean => !one.clock.stopped && (one.leadership?.isLeader() ?? false);

describe("election", () => {
  test("the first takes the lease at once, the second only when the first is gone for the whole duration", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a");
    await world.advance(100);
    expect(acts(a)).toBe(true);
    const b = brain(world, lease, "b", { seed: 2 });
    await world.advance(60_000);
    expect([acts(a), acts(b)]).toEqual([true, false]);
    expect(lease.current).toMatchObject({ holder: expect.stringMatching(/^a_/), durationMs: 15_000, transitions: 1 });
    a.faults = { ...noFaults, down: true };
    const startMs = world.monotonicMs();
    while (acts(a)) await world.advance(50);
    const stoppedAfterMs = world.monotonicMs() - startMs;
    expect(stoppedAfterMs).toBeLessThanOrEqual(leaseTimes.renewDeadlineMs + 50);
    while (!acts(b)) await world.advance(50);
    const takenAfterMs = world.monotonicMs() - startMs;
    expect(takenAfterMs).toBeGreaterThanOrEqual(leaseTimes.leaseDurationMs - leaseTimes.retryPeriodMs - 50);
    expect(takenAfterMs).toBeLessThanOrEqual(leaseTimes.leaseDurationMs + 1.2 * leaseTimes.retryPeriodMs + 100);
    expect(b.leadership?.term).toBe(2);
    console.log(
      `election, 15/10/2 s: a cut-off leader stops after ${stoppedAfterMs} ms, the next begins after ${takenAfterMs} ms`,
    );
  });

  test("a stopped leader can do nothing from the moment it goes on, before any timer of its has run", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a");
    await world.advance(5_000);
    const b = brain(world, lease, "b", { seed: 2 });
    const old = a.leadership;
    a.clock.stop();
    while (!acts(b)) await world.advance(100);
    a.clock.resume();
    // Nothing has been awaited since: this is the first thing that the process does.
    expect(() => old?.assertLeader()).toThrow("not the leader any more");
    expect(old?.remainingMs()).toBe(0);
    expect(old?.signal.aborted).toBe(true);
    await world.advance(20_000);
    expect([acts(a), acts(b)]).toEqual([false, true]);
  });

  test("time that the machine was suspended counts: its monotonic clock has not moved, its boot clock has", async () => {
    const world = new FakeClock();
    let suspendedMs = 0;
    const a = brain(world, new SimLease(world), "a", { boot: () => world.monotonicMs() + suspendedMs });
    await world.advance(5_000);
    expect(acts(a)).toBe(true);
    suspendedMs = 3_600_000;
    expect(acts(a)).toBe(false);
  });

  test("a boot clock that runs ahead doesn't make a candidate impatient", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a");
    await world.advance(100);
    let jumpedMs = 0;
    const b = brain(world, lease, "b", { seed: 2, boot: () => world.monotonicMs() + jumpedMs });
    await world.advance(3_000);
    a.faults = { ...noFaults, down: true };
    jumpedMs = 3_600_000;
    await world.advance(8_000);
    expect([acts(a), acts(b)]).toEqual([true, false]);
  });

  test("wall clocks decide nothing: hours ahead, hours behind, or set while leading", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a", { wallOffMs: -7_200_000 });
    await world.advance(100);
    const b = brain(world, lease, "b", { seed: 2, wallOffMs: 7_200_000 });
    await world.advance(30_000);
    world.jumpWall(86_400_000);
    await world.advance(30_000);
    world.jumpWall(-2 * 86_400_000);
    await world.advance(30_000);
    expect([acts(a), acts(b)]).toEqual([true, false]);
  });

  test("a released lease is taken at the next look", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a");
    await world.advance(100);
    const b = brain(world, lease, "b", { seed: 2 });
    await world.advance(10_000);
    a.stopCampaign();
    const released = a.term?.release();
    expect(acts(a)).toBe(false);
    await world.advance(100);
    await released;
    expect(lease.current?.holder).toBe("");
    await world.advance(2_500);
    expect(acts(b)).toBe(true);
  });

  test("somebody's annotation and a lost answer don't cost the lease; another holder and a deletion do, at once", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a");
    await world.advance(3_000);
    const first = a.leadership;
    if (lease.current) lease.write(lease.current);
    await world.advance(30_000);
    expect(first?.isLeader()).toBe(true);
    if (lease.current) lease.write({ ...lease.current, holder: "thief" });
    await world.advance(2_500);
    expect(first?.isLeader()).toBe(false);
    while (!acts(a)) await world.advance(500);
    const second = a.leadership;
    lease.current = undefined;
    await world.advance(2_500);
    expect(second?.isLeader()).toBe(false);
  });

  test("a lease that isn't there, or that somebody deletes, is not taken before a holder must have stopped", async () => {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const a = brain(world, lease, "a", { absentMeansNew: false });
    await world.advance(14_900);
    expect(acts(a)).toBe(false);
    // It is written as held by nobody that there is.
    expect([lease.current?.holder, a.leader()]).toEqual(["unknown", ""]);
    await world.advance(3_000);
    expect(acts(a)).toBe(true);
    // One that was never told of the lease before it was deleted.
    const b = brain(world, lease, "b", { seed: 2, absentMeansNew: false });
    const [leader, other] = [a, b];
    leader.faults = { ...noFaults, down: true };
    lease.current = undefined;
    for (let i = 0; i < 400; i++) {
      await world.advance(50);
      expect(acts(leader) && acts(other)).toBe(false);
    }
    expect(acts(other)).toBe(true);
  });

  test("times that leave no margin are refused with what is allowed", () => {
    const world = new FakeClock();
    const deps = {
      store: new SimLease(world).view(seededPrng(1), () => noFaults),
      clock: world,
      prng: seededPrng(1),
      logger: silentLogger(),
    };
    const times = { leaseDurationMs: 10_000, renewDeadlineMs: 10_000, retryPeriodMs: 2_000 };
    expect(() => new LeaderElection(deps, { name: "a", times })).toThrow("allowed is duration > renew deadline");
  });
});

test("with slow, lost and late messages, stopped processes and wrong clocks there are never two, and mostly one", async () => {
  const seeds = Number(process.env["ELECTION_SEEDS"] ?? 300);
  let led = 0;
  let steps = 0;
  let changes = 0;
  for (let seed = 1; seed <= seeds; seed++) {
    const world = new FakeClock();
    const lease = new SimLease(world);
    const prng = seededPrng(seed);
    const brains = ["a", "b", "c"].map((name, i) =>
      brain(world, lease, name, { seed: seed * 10 + i, absentMeansNew: false, wallOffMs: (prng.float() - 0.5) * 1e8 }),
    );
    for (let step = 0; step < 300; step++) {
      for (const one of brains) {
        if (prng.below(100) < 2) one.clock.stop();
        else if (one.clock.stopped && prng.below(100) < 4) one.clock.resume();
        if (prng.below(100) < 2)
          one.faults = { delayMsMax: prng.below(8_000), lostPercent: prng.below(60), down: prng.below(4) === 0 };
        else if (prng.below(100) < 5) one.faults = noFaults;
        if (prng.below(1000) < 3) void one.term?.release();
      }
      if (prng.below(1000) < 2) lease.current = undefined;
      await world.advance(prng.below(1_000));
      const acting = brains.filter(acts);
      if (acting.length > 1)
        throw new Error(`seed ${seed}, step ${step}: ${acting.length} leaders at ${world.monotonicMs()} ms`);
      led += acting.length;
      steps += 1;
    }
    changes += lease.current?.transitions ?? 0;
    for (const one of brains) {
      one.stopCampaign();
      one.clock.resume();
      one.leadership?.end("lost", "the test is over");
    }
    await world.advance(60_000);
  }
  console.log(
    `election: ${seeds} seeds, ${steps} steps, led ${Math.round((100 * led) / steps)} % of them, ${changes} changes of hands`,
  );
  expect(led / steps).toBeGreaterThan(0.3);
  expect(changes).toBeGreaterThan(seeds);
}, 180_000);
