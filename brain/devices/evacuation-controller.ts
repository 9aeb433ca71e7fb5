/** Empties pools on failing devices: the runs that would bear the fewest losses first, after repair, under its limits, and not when too many fail at once. */
import type { EvacuationStatus } from "@couchestor/common/api/admin.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { LiveNode } from "../inventory/live-node.ts";
import { poolsOf } from "../inventory/live-node.ts";
import type { ConditionUpdate } from "../runtime/conditions.ts";
import type { Services } from "../volumes/services.ts";
import { evacuationBrake } from "./brake.ts";
import { deviceCondition, type EvacuationPhase, type PoolEvacuation } from "./device-conditions.ts";
import { type EvacuationCandidate, type EvacuationQueue, planEvacuation } from "./evacuation-plan.ts";
import { evacuationStep } from "./evacuation-step.ts";
import { type FailingPool, failingPools } from "./failing-pools.ts";

export interface EvacuationOptions {
  /** The share of pools on failing devices above which nothing is moved: 0 … 1. */
  failingShareMax: number;
  /** Devices that begin to fail within this time fail at once; a day unless told otherwise. */
  togetherMs?: number;
}

export interface EvacuationLimits extends EvacuationOptions {
  /** Runs moved at once. */
  concurrency: number;
  /** Shared by all that move; undefined: no limit. */
  bytesPerSecondMax: number | undefined;
  /** Repairs that wait or are under way: they go first. */
  repairsOpen: () => number;
}

const backoffMsMin = 1_000;
const backoffMsMax = 60_000;
const replanMs = 1_000;
const togetherMsDefault = 24 * 3_600_000;
const blockedShownMax = 256;
const blockedAfterFailures = 3;
const editedAdvice = "its shards may be on any failing pool until it is put right, as its condition SpecTrusted says";

interface Held {
  reason: string;
  notBeforeMs: number;
  failures: number;
}

export class EvacuationController {
  readonly #services: Services;
  readonly #limits: EvacuationLimits;
  readonly #held = new Map<string, Held>();
  readonly #running = new Map<string, Promise<void>>();
  #failing = new Map<string, FailingPool>();
  #plan: EvacuationQueue = { queue: [], runsOn: new Map(), held: [] };
  #brake: string | undefined;
  #planDueMs = 0;
  #told = new Map<string, string>();
  #stopped = false;
  #runsMoved = 0;

  constructor(services: Services, limits: EvacuationLimits) {
    this.#services = services;
    this.#limits = limits;
    services.inventory.onChange(() => {
      this.#planDueMs = 0;
      for (const held of this.#held.values()) held.notBeforeMs = 0;
    });
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Waits for the steps that are being started or committed now. */
  async settle(): Promise<void> {
    await Promise.allSettled(this.#running.values());
  }

  /** Looks at the devices when due, and starts what may start. Call it often. */
  tick(): void {
    const now = this.#services.context.clock.monotonicMs();
    if (now >= this.#planDueMs) this.#replan(now);
    if (this.#stopped || this.#brake !== undefined || this.#services.cluster.repairPaused) return;
    for (const candidate of this.#plan.queue) {
      if (this.#running.size + this.#limits.repairsOpen() >= this.#limits.concurrency) return;
      if (this.#running.has(candidate.name) || (this.#held.get(candidate.name)?.notBeforeMs ?? 0) > now) continue;
      this.#start(candidate);
    }
  }

  /** The pools that are being emptied, or would be. */
  evacuations(): PoolEvacuation[] {
    return [...this.#failing.values()].map((pool) => ({ pool, phase: this.#phase(pool) }));
  }

  /** What StorageNode says of the node's devices. */
  condition(node: LiveNode): ConditionUpdate | undefined {
    return deviceCondition(node, this.evacuations());
  }

  status(): EvacuationStatus {
    const { queued, running, blocked } = this.counts();
    return {
      ...(this.#brake === undefined ? {} : { heldBack: this.#brake }),
      queued,
      running,
      runsMoved: this.#runsMoved,
      blocked: [...this.#blocked().take(blockedShownMax)],
      blockedTotal: blocked,
      pools: this.evacuations().map(({ pool, phase }) => ({
        poolUuid: pool.poolUuid,
        poolName: pool.poolName,
        nodeName: pool.nodeName,
        deviceId: pool.deviceId,
        phase,
        runsLeft: this.#plan.runsOn.get(pool.poolUuid) ?? 0,
        reasons: [...pool.reasons],
      })),
    };
  }

  /** All runs with shards on failing devices; `status` tells why for the first of the blocked only, since there may be very many. */
  counts(): { queued: number; running: number; blocked: number } {
    let queued = 0;
    let blocked = this.#plan.held.length;
    for (const { name } of this.#plan.queue) {
      if (this.#running.has(name)) continue;
      if (this.#held.has(name)) blocked++;
      else queued++;
    }
    return { queued, running: this.#running.size, blocked };
  }

  /** Since this brain started. */
  get runsMoved(): number {
    return this.#runsMoved;
  }

  /** Why nothing is moved; undefined while the brake is off. */
  get heldBack(): string | undefined {
    return this.#brake;
  }

  *#blocked(): Generator<{ stripe: string; reason: string }> {
    for (const { name, why } of this.#plan.held) yield { stripe: name, reason: `${why}, by hand: ${editedAdvice}` };
    for (const { name } of this.#plan.queue) {
      const reason = this.#running.has(name) ? undefined : this.#held.get(name)?.reason;
      if (reason !== undefined) yield { stripe: name, reason };
    }
  }

  #phase({ poolUuid }: FailingPool): EvacuationPhase {
    const left = this.#plan.runsOn.get(poolUuid) ?? 0;
    if (left === 0) return "emptied";
    if (this.#brake !== undefined) return "held back";
    if (this.#services.cluster.repairPaused) return "paused";
    // A move that fails once or twice, as when an agent is slow, is tried again soon: that is no state to tell people of.
    const isStuck = ({ name }: EvacuationCandidate): boolean =>
      (this.#held.get(name)?.failures ?? 0) >= blockedAfterFailures;
    const { queue, held } = this.#plan;
    const stuck = queue.length + held.length > 0 && this.#running.size === 0 && queue.every(isStuck);
    return stuck ? "blocked" : "emptying";
  }

  #replan(now: number): void {
    const { catalogue, standings, inventory, context } = this.#services;
    const before = this.#failing;
    this.#failing = failingPools(inventory.nodes(), before, now);
    this.#plan = planEvacuation(catalogue.runs.all(), new Set(this.#failing.keys()), (pool) =>
      standings.standing(pool),
    );
    const total = [...inventory.nodes()].reduce((sum, node) => sum + poolsOf(node).length, 0);
    const recent = [...this.#failing.values()].filter((pool) => !this.#isPast(pool, now));
    const brake = evacuationBrake(recent, total, this.#limits.failingShareMax);
    if (brake !== undefined && this.#brake === undefined)
      context.log.warn({ failing: this.#failing.size, total }, brake);
    this.#brake = brake;
    // Under the brake the verdicts are not believed, so the pools stay as good as any for new data.
    inventory.setLeaving(brake === undefined ? new Set(this.#failing.keys()) : new Set());
    const queued = new Set(this.#plan.queue.map(({ name }) => name));
    for (const name of this.#held.keys()) if (!queued.has(name)) this.#held.delete(name);
    // With very many runs planning takes a while: a tenth of the time at most.
    this.#planDueMs = now + Math.max(replanMs, 10 * (context.clock.monotonicMs() - now));
    this.#tell(before);
  }

  /** Long emptied and not yet replaced: a failure of its own, which must not hold back the next one. */
  #isPast({ poolUuid, sinceMs }: FailingPool, now: number): boolean {
    const { togetherMs = togetherMsDefault } = this.#limits;
    return now - sinceMs >= togetherMs && (this.#plan.runsOn.get(poolUuid) ?? 0) === 0;
  }

  /** Logs what has changed, and has the StorageNodes of those pools written again. */
  #tell(before: ReadonlyMap<string, FailingPool>): void {
    const { inventory, context } = this.#services;
    const touched = new Set<string>();
    const now = new Map(this.evacuations().map(({ pool, phase }) => [pool.poolUuid, { pool, phase }]));
    for (const [uuid, { pool, phase }] of now) {
      if (this.#told.get(uuid) === phase) continue;
      this.#told.set(uuid, phase);
      touched.add(pool.nodeName);
      const { nodeName, poolName, deviceId, reasons } = pool;
      context.log.warn({ nodeName, poolName, deviceId, reasons, phase }, "a pool stands on a failing device");
    }
    for (const uuid of [...this.#told.keys()]) {
      if (now.has(uuid)) continue;
      this.#told.delete(uuid);
      const pool = before.get(uuid);
      if (pool) touched.add(pool.nodeName);
    }
    for (const name of touched) inventory.rewrite(name);
  }

  #start(candidate: EvacuationCandidate): void {
    const work = this.#run(candidate)
      .catch((error) => this.#hold(candidate.name, toAppError(error).message))
      .finally(() => {
        this.#running.delete(candidate.name);
        this.#planDueMs = 0;
      });
    this.#running.set(candidate.name, work);
  }

  async #run({ name, volumeUuid }: EvacuationCandidate): Promise<void> {
    const { bytesPerSecondMax, concurrency } = this.#limits;
    const share =
      bytesPerSecondMax === undefined ? undefined : Math.max(1, Math.floor(bytesPerSecondMax / concurrency));
    const step = await evacuationStep(this.#services, { name, volumeUuid }, new Set(this.#failing.keys()), share);
    if (step.what === "nothing") return this.#hold(name, "there is nothing that could be moved now");
    if (step.what === "blocked") return this.#hold(name, step.reason);
    const { answer } = await step.record.ended;
    if (answer.result !== "committed") return this.#hold(name, answer.reason ?? "the act was dropped");
    this.#runsMoved++;
    this.#services.context.log.info({ run: name, partial: step.partial }, "run moved off a failing device");
    if (step.partial) this.#hold(name, step.partial);
    else this.#held.delete(name);
  }

  #hold(name: string, reason: string): void {
    const failures = (this.#held.get(name)?.failures ?? 0) + 1;
    const backoffMs = Math.min(backoffMsMax, backoffMsMin * 2 ** (failures - 1));
    this.#held.set(name, { reason, failures, notBeforeMs: this.#services.context.clock.monotonicMs() + backoffMs });
  }
}
