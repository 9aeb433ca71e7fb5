/** A brain on a real SQLite file, a clock that tests move, and a fleet of fake agents; it can be dropped at any moment and started again. */
import { existsSync, rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { ActDoneAnswer } from "@couchestor/common/api/acts.ts";
import { runMapOf } from "@couchestor/common/crd/ec-stripe.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { Brain, type BrainOptions } from "../brain.ts";
import { type Log, silentLog } from "../ports.ts";
import type { ResourceStore } from "../store/ports.ts";
import { openSqliteStore } from "../store/sqlite-store.ts";
import { completeImport } from "../volumes/complete.ts";
import { createVolume } from "../volumes/create.ts";
import { grantEncode } from "../volumes/encode.ts";
import { FakeFleet } from "./fake-fleet.ts";

export const testOptions: BrainOptions = {
  heartbeatEveryMs: 500,
  offlineAfterMs: 2000,
  repairAfterMs: 5000,
  repair: { concurrency: 2, bytesPerSecondMax: undefined, massFailureShare: 0.34 },
  evacuation: { failingShareMax: 0.2 },
  scrub: { concurrency: 2, everyMs: 0, lookEveryMs: 60_000 },
  sweep: { everyMs: 3_600_000, delayMs: 1_000_000 },
};

/** In memory where the system has such a folder: these tests kill processes, not machines, so a sync only costs time. */
const scratch = existsSync("/dev/shm") ? "/dev/shm" : tmpdir();

export class TestBrain {
  readonly clock = new FakeClock();
  readonly fleet: FakeFleet;
  readonly directory: string;
  readonly options: BrainOptions;
  store!: ResourceStore;
  brain!: Brain;
  /** Acts are carried out as soon as a mover has them. */
  autoPerform = true;
  readonly answers: ActDoneAnswer[] = [];
  /** Of the brains that are opened from now on. */
  log: Log = silentLog;
  #nextBeatMs = 0;
  #seed = 1;

  private constructor(directory: string, fleet: FakeFleet, options: BrainOptions) {
    this.directory = directory;
    this.fleet = fleet;
    this.options = options;
  }

  static async start(
    options: { nodes?: number; fleet?: FakeFleet; brain?: Partial<BrainOptions> } = {},
  ): Promise<TestBrain> {
    const directory = await mkdtemp(join(scratch, "couchestor-brain-"));
    const test = new TestBrain(directory, options.fleet ?? new FakeFleet(options.nodes ?? 6), {
      ...testOptions,
      ...options.brain,
    });
    await test.open();
    await test.until(
      () => test.brain.services.cluster.uuid !== undefined || test.brain.services.cluster.state === "unclaimed",
    );
    await test.pass(1000);
    return test;
  }

  async open(wrap: (store: ResourceStore) => ResourceStore = (s) => s): Promise<void> {
    const prng = seededPrng(this.#seed++);
    this.store = wrap(await openSqliteStore(join(this.directory, "db"), { clock: this.clock, prng }));
    this.brain = this.newBrain(this.store);
    await this.brain.start();
  }

  newBrain(store: ResourceStore): Brain {
    const prng = seededPrng(1000 + this.#seed++);
    return new Brain(
      { store, clock: this.clock, prng, log: this.log, agents: this.fleet, instanceUuid: prng.uuid() },
      this.options,
    );
  }

  /** The process is gone: nothing of it runs on, nothing is said to anybody; a new one starts on the same database. */
  async crash(): Promise<void> {
    await this.brain.stop();
    await this.store.close();
    await this.open();
    await this.pass(1500);
  }

  async close(): Promise<void> {
    await this.brain.stop();
    await this.store.close();
    rmSync(this.directory, { recursive: true, force: true });
  }

  /** Time passes: agents beat, and carry out what they were given. */
  async pass(ms: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + ms;
    while (this.clock.monotonicMs() < untilMs) {
      if (this.clock.monotonicMs() >= this.#nextBeatMs) {
        this.#nextBeatMs = this.clock.monotonicMs() + 500;
        for (const node of this.fleet.nodes.values()) if (node.alive) this.beat(node.name);
      }
      if (this.autoPerform) await this.perform();
      await this.clock.advance(50);
    }
  }

  beat(name: string): void {
    const answer = this.brain.heartbeat(name, this.fleet.heartbeatOf(this.fleet.node(name)));
    if (answer.clusterUuid) this.fleet.clusterUuid = answer.clusterUuid;
  }

  /** Carries out every act but encodes, which wait for their client. */
  async perform(kinds: string[] = ["rebuild", "scrub"]): Promise<void> {
    for (const { node, task } of this.fleet.acts()) {
      if (!kinds.includes(task.kind)) continue;
      const done = this.fleet.perform(node, task);
      node.acts.delete(`${task.act.volumeUuid}.${task.act.epoch}.${task.act.actNo}`);
      if (done) this.answers.push(await this.brain.services.acts.done(done));
    }
  }

  async until(condition: () => boolean | Promise<boolean>, what = "the condition", ms = 120_000): Promise<void> {
    const limitMs = this.clock.monotonicMs() + ms;
    while (!(await condition())) {
      if (this.clock.monotonicMs() > limitMs) throw new Error(`waited ${ms} ms for ${what}`);
      await this.pass(50);
    }
  }

  /** Imports a volume of `runs` runs of 4 stripes each, 4+2. */
  async importVolume(name: string, runs: number): Promise<void> {
    await this.create(name, runs);
    for (let runIndex = 0; runIndex < runs; runIndex++) await this.importRun(name, runIndex);
    await completeImport(this.brain.services, name, "cd".repeat(32));
  }

  create(name: string, runs: number) {
    return createVolume(this.brain.services, {
      name,
      sizeBytes: runs * 4 * 65_536,
      code: { family: "rs", k: 4, m: 2 },
      stripeSizeBytes: 65_536,
      stripesPerRun: 4,
      importing: true,
    });
  }

  async importRun(name: string, runIndex: number): Promise<ActDoneAnswer> {
    const grant = await grantEncode(this.brain.services, name, { runIndex });
    if (grant.state === "committed") return { result: "committed" };
    const { node, task } = this.encodeAct();
    node.acts.clear();
    const done = this.fleet.perform(node, task);
    if (!done) throw new Error("the act died");
    return this.brain.services.acts.done(done);
  }

  encodeAct() {
    const found = this.fleet.acts().find(({ task }) => task.kind === "encode");
    if (!found) throw new Error("no encode act was handed out");
    return found;
  }

  /** Whether every committed run can be read from what the fleet holds, by the exact names the store has. */
  async allReadable(name: string): Promise<boolean> {
    const volume = await this.brain.services.catalogue.freshVolume(name);
    const runs = await this.brain.services.catalogue.freshRuns(volume);
    return (
      runs.length > 0 &&
      runs.every((run) => run.spec.generation > 0 && this.fleet.readable(runMapOf(run.spec), run.spec.volumeUuid))
    );
  }

  states(name: string): string[] {
    const volume = this.brain.services.catalogue.volume(name);
    return this.brain.services.catalogue.runs.ofVolume(volume.spec.volumeUuid).map((run) => run.state);
  }
}
