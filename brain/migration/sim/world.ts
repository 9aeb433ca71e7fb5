/** One history's world: a control plane, a store, brains one after the other, and what watches over all of it. */

import { type Migration, type MigrationSpec, migrationKind } from "@couchestor/common/crd/migration.ts";
import { apiVersion } from "@couchestor/common/crd/object.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import { type CallFault, randomFault } from "../../testing/mayastor/call-faults.ts";
import type { MayastorCluster } from "../../testing/mayastor/cluster.ts";
import { MayastorControlPlane, type SeenCall } from "../../testing/mayastor/control-plane.ts";
import type { MayastorSettings } from "../../testing/mayastor/settings.ts";
import { VirtualClock } from "../../testing/mayastor/virtual-clock.ts";
import { ZeroLoss } from "../../testing/mayastor/zero-loss.ts";
import { type EcStanding, ecVolumeLabel, migrationFinalizer } from "../ports.ts";
import { type MigrationAllowances, migrationSettings, noAllowances } from "../settings.ts";
import { callOff, rivalCordon } from "./disturb.ts";
import { MemoryStore } from "./memory-store.ts";
import type { CallFaultPlan } from "./scenario.ts";
import { type KillPoint, type MakeDriver, SimBrain } from "./sim-brain.ts";
import { Watch } from "./watch.ts";

export interface WorldOptions {
  seed: number;
  settings: Partial<MayastorSettings>;
  allow?: Partial<MigrationAllowances>;
  makeDriver: MakeDriver;
  /** Told of all that happens, line by line. */
  trace?: ((line: string) => void) | undefined;
}

/** From a leader's end until another may begin. */
const handOverMs = 15_000;

export class World {
  readonly clock = new VirtualClock();
  readonly prng: Prng;
  readonly plane: MayastorControlPlane;
  readonly store: MemoryStore;
  readonly zeroLoss: ZeroLoss;
  readonly watch: Watch;
  readonly names: string[] = [];
  /** Migrations that have yet to begin. */
  toCome = 0;
  callFaults: CallFaultPlan = { percent: 0, callOffPercent: 0 };
  rivalPercent = 0;
  /** Of the brains to come, the next first. */
  kills: KillPoint[] = [];
  storeFaultPermille = 0;
  /** A fault for one call of ours that changes something, by its number. */
  faultAt = new Map<number, CallFault>();
  /** Brains killed, leaders deposed, machines crashed and all else that is done to the world, but for faults of calls. */
  disturbances = 0;
  /** Set when whatever was wrong has been put right. */
  calm = false;
  readonly #options: WorldOptions;
  readonly brains: SimBrain[] = [];
  readonly #ended = new Set<string>();

  constructor(options: WorldOptions) {
    this.#options = options;
    this.prng = seededPrng(options.seed);
    this.plane = new MayastorControlPlane(this.clock, {
      prng: seededPrng(options.seed ^ 0x5eed),
      settings: options.settings,
    });
    this.store = new MemoryStore(this.clock, seededPrng(options.seed ^ 0x570e));
    this.zeroLoss = new ZeroLoss(this.cluster);
    this.watch = new Watch(this);
    this.plane.fault = (call) => this.#fault(call);
    this.plane.onCall = (call) => {
      if (this.prng.below(100) < this.rivalPercent && !this.calm) rivalCordon(this, call);
      this.watch.called(call);
    };
    this.cluster.onTransition.push(({ volume, by, what, copiesBefore, copiesAfter }) =>
      this.trace(`${volume.slice(0, 8)} ${by}: ${what} (${copiesBefore} -> ${copiesAfter} copies)`),
    );
    this.store.onWrite = (kind, name) => {
      this.#traceSteps(name);
      if (kind !== "Migration" || this.#ended.has(name) || this.migration(name)?.status?.outcome === undefined) return;
      this.#ended.add(name);
      this.watch.ended(name);
    };
  }

  get cluster(): MayastorCluster {
    return this.plane.cluster;
  }

  trace(line: string): void {
    const { trace } = this.#options;
    if (trace !== undefined) trace(`${new Date(this.cluster.nowMs).toISOString().slice(11, 23)} ${line}`);
  }

  get faults(): number {
    return this.plane.faults + this.disturbances + this.brains.reduce((sum, brain) => sum + brain.storeFaults, 0);
  }

  migration(name: string): Migration | undefined {
    return this.store.peek(migrationKind, name);
  }

  hasEnded(name: string): boolean {
    return this.#ended.has(name) || !this.store.has("Migration", name);
  }

  /** Puts the volume of a Migration under watch, before anything is done for it. */
  attend(name: string, spec: MigrationSpec, consented = 0): void {
    const copies = Math.max(1, this.cluster.copies(spec.volumeUuid));
    const needed = Math.min(copies, Math.max(spec.originalReplicaCount, spec.finalReplicaCount));
    const countMin = Math.min(spec.originalReplicaCount, spec.finalReplicaCount);
    this.zeroLoss.watch(spec.volumeUuid, { needed, countMin, consented });
    this.watch.begun(name, spec, needed);
    this.names.push(name);
  }

  /** Puts a Migration into the store, and its volume under watch. */
  async migrate(name: string, spec: MigrationSpec, consented = 0): Promise<void> {
    this.attend(name, spec, consented);
    await this.store.create(migrationKind, {
      apiVersion,
      kind: "Migration",
      metadata: { name, finalizers: [migrationFinalizer] },
      spec,
    });
    for (const brain of this.brains) if (brain.alive) void brain.work(name, () => this.hasEnded(name));
  }

  /** A brain takes over; the one before, if it still lives, stops first. */
  startBrain(killAt: KillPoint | undefined = this.kills.shift()): SimBrain {
    if (this.calm) killAt = undefined;
    for (const brain of this.brains) brain.depose();
    this.trace("a brain begins");
    const brain = new SimBrain({
      clock: this.clock,
      seed: this.#options.seed * 31 + this.brains.length,
      transport: this.plane.transport(),
      store: this.store,
      ecHealth: (volumeName) => this.#ecHealth(volumeName),
      makeDriver: this.#options.makeDriver,
      settings: { ...migrationSettings, allow: { ...noAllowances, ...this.#options.allow } },
      killAt,
      storeFaultPermille: this.storeFaultPermille,
      wallSkewMs: this.brains.length === 0 ? 0 : this.prng.below(120_000) - 60_000,
      onNews: ({ migration, reason, note }) => this.trace(`${migration}: ${reason}: ${note}`),
      onKilled: () => {
        this.trace("the brain is killed");
        this.disturbances += 1;
        this.clock.after(handOverMs, () => this.#succeed(brain));
      },
    });
    this.brains.push(brain);
    for (const name of this.names) void brain.work(name, () => this.hasEnded(name));
    return brain;
  }

  /** The leader loses its lease; another one begins a while later. */
  changeLeader(): void {
    const brain = this.brains.at(-1);
    if (brain === undefined || !brain.alive) return;
    this.disturbances += 1;
    brain.depose();
    this.clock.after(handOverMs, () => this.#succeed(brain));
  }

  /** Lets time go on until all migrations have ended, or so much time has passed. */
  async run(maxMs: number): Promise<void> {
    const untilMs = this.clock.monotonicMs() + maxMs;
    while (this.clock.monotonicMs() < untilMs) {
      await this.clock.pass(2_000);
      this.plane.catchUp();
      if (this.toCome === 0 && this.names.every((name) => this.hasEnded(name))) break;
    }
  }

  readonly #told = new Map<string, string>();

  /** Each step of a journal when it begins and when it ends, and what it says. */
  #traceSteps(name: string): void {
    if (this.#options.trace === undefined) return;
    const status = this.migration(name)?.status;
    const step = status?.steps.at(-1);
    const held = (status?.heldSteering ?? []).map(({ kind, target, state }) => `${kind} ${target} ${state}`).join(", ");
    const line = `${name} ${status?.phase} ${step?.number} ${step?.name} ${step?.state} [${held}] ${status?.message}`;
    if (this.#told.get(name) !== line) this.trace(line);
    this.#told.set(name, line);
  }

  #succeed(brain: SimBrain): void {
    if (this.brains.at(-1) === brain) this.startBrain();
  }

  #ecHealth(volumeName: string): EcStanding | undefined {
    for (const pool of this.cluster.pools.values()) {
      const code = pool.erasureCoded;
      if (pool.labels[ecVolumeLabel] === volumeName && code !== undefined)
        return { parityShards: code.lossesMax, healthy: code.healthy };
    }
    return undefined;
  }

  #fault(call: SeenCall): CallFault | undefined {
    if (call.by !== "us") return undefined;
    const fault = this.#chooseFault(call);
    if (!call.isRead) this.trace(`call ${call.writeNumber} ${call.method} ${call.path} ${JSON.stringify(fault) ?? ""}`);
    return fault;
  }

  #chooseFault(call: SeenCall): CallFault | undefined {
    const fixed = this.faultAt.get(call.writeNumber);
    if (!call.isRead && fixed !== undefined) return fixed;
    const { percent, kinds, callOffPercent } = this.callFaults;
    if (this.calm || percent === 0) return undefined;
    if (this.prng.float() * 100 >= (call.isRead ? percent / 4 : percent)) return undefined;
    const fault = randomFault(this.prng, call.isRead, kinds);
    if (fault !== undefined && !call.isRead && this.prng.below(100) < callOffPercent) callOff(this, call);
    return fault;
  }
}
