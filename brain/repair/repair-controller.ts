/** Repair: runs with lost shards, fewest spare losses first, a few at a time, at a bounded rate, with backoff for those that can't be repaired now. */
import type { RepairStatus } from "@couchestor/common/api/admin.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import { TokenBucket } from "@couchestor/common/resilience/token-bucket.ts";
import type { ActRecord } from "../acts/act-record.ts";
import { observeAll } from "../volumes/run-status.ts";
import type { Services } from "../volumes/services.ts";
import { brakedQueue, massFailure, planRepairs, type RepairCandidate, type RepairQueue } from "./repair-plan.ts";
import { repairStep } from "./repair-run.ts";
import { RepairWave } from "./repair-wave.ts";

export interface RepairOptions {
  /** Runs repaired at once. */
  concurrency: number;
  /** Shared by all repairs under way; undefined: no limit. */
  bytesPerSecondMax: number | undefined;
  /** The share of offline nodes above which the brake is on: 0 … 1. */
  massFailureShare: number;
  /** How old the plan may get while nothing changes. */
  replanMs?: number;
}

const backoffMsMin = 1000;
const backoffMsMax = 60_000;
const blockedShownMax = 256;
const planAgeMsMax = 30_000;
/** Writes of run statuses: a node that goes changes very many, and the store has other work too. */
const statusWrites = { ratePerSecond: 20, burst: 1_000 };

interface Held {
  reason: string;
  notBeforeMs: number;
  failures: number;
}

export class RepairController {
  readonly #services: Services;
  readonly #options: Required<RepairOptions>;
  readonly #held = new Map<string, Held>();
  readonly #running = new Map<string, { candidate: RepairCandidate; record: ActRecord | undefined }>();
  readonly #wave: RepairWave;
  #plan: RepairQueue = { queue: [], unrecoverable: [], spare: new Map(), waiting: 0 };
  #brake: string | undefined;
  #planDueMs = 0;
  #plannedMs = 0;
  #plannedOf = -1;
  #stopped = false;
  #observing: Promise<unknown> | undefined;
  readonly #statusBudget: TokenBucket;
  readonly #statusRefused = new Set<string>();
  readonly #work = new Set<Promise<void>>();

  constructor(services: Services, options: RepairOptions) {
    this.#services = services;
    this.#options = { replanMs: 1000, ...options };
    this.#wave = new RepairWave(services.context.clock);
    this.#statusBudget = new TokenBucket(services.context.clock, statusWrites);
    services.inventory.onChange(() => this.poke());
  }

  /** Something changed: what was blocked may be possible now. */
  poke(): void {
    this.#planDueMs = 0;
    for (const held of this.#held.values()) held.notBeforeMs = 0;
  }

  /** Under `pause` no new repair starts; those under way end. Durable on return: it holds until `resume`, whatever brain runs. */
  async pause(): Promise<void> {
    await this.#services.cluster.setRepairPaused(true);
  }

  async resume(): Promise<void> {
    await this.#services.cluster.setRepairPaused(false);
    this.poke();
  }

  stop(): void {
    this.#stopped = true;
  }

  /** Waits for the steps that are being started or committed now. */
  async settle(): Promise<void> {
    await Promise.allSettled([...this.#work, this.#observing]);
  }

  /** Plans when due and starts what may start. Call it often. */
  tick(): void {
    const now = this.#services.context.clock.monotonicMs();
    if (now >= this.#planDueMs && this.#mayDiffer(now)) this.#replan(now);
    if (this.#services.cluster.repairPaused || this.#stopped) return;
    for (const candidate of brakedQueue(this.#plan.queue, this.#brake)) {
      if (this.#running.size >= this.#options.concurrency) return;
      if (this.#running.has(candidate.name) || (this.#held.get(candidate.name)?.notBeforeMs ?? 0) > now) continue;
      this.#start(candidate);
    }
  }

  /** Runs that are being repaired, or could be now. */
  get openCount(): number {
    const now = this.#services.context.clock.monotonicMs();
    const isDue = ({ name }: RepairCandidate): boolean =>
      !this.#running.has(name) && (this.#held.get(name)?.notBeforeMs ?? 0) <= now;
    return this.#running.size + brakedQueue(this.#plan.queue, this.#brake).filter(isDue).length;
  }

  status(): Omit<RepairStatus, "evacuation"> {
    const running = [...this.#running.values()];
    const progress = this.#wave.progress(running.flatMap((r) => (r.record ? [r.record] : [])));
    const { queued, blocked } = this.counts();
    return {
      paused: this.#services.cluster.repairPaused,
      queued,
      running: running.length,
      blocked: [...this.#blocked().take(blockedShownMax)],
      blockedTotal: blocked,
      ...progress,
      spare: Object.fromEntries(
        [...this.#plan.spare].sort(([a], [b]) => a - b).map(([spare, runs]) => [String(spare), runs]),
      ),
      waiting: this.#services.standings.waiting(),
    };
  }

  /** All runs in repair; `status` tells why for the first of the blocked only, since there may be very many. */
  counts(): { queued: number; running: number; blocked: number } {
    let queued = 0;
    let blocked = this.#plan.unrecoverable.length;
    for (const candidate of this.#plan.queue) {
      if (this.#running.has(candidate.name)) continue;
      if (this.#whyBlocked(candidate) === undefined) queued++;
      else blocked++;
    }
    return { queued, running: this.#running.size, blocked };
  }

  /** Whether a new plan could say anything else: something changed, something waits for time, or the last one is old. */
  #mayDiffer(now: number): boolean {
    const { queue, unrecoverable, waiting } = this.#plan;
    const open = queue.length + unrecoverable.length + waiting + this.#running.size > 0;
    return (
      open ||
      this.#planDueMs === 0 ||
      this.#plannedOf !== this.#services.catalogue.runs.version ||
      now >= this.#plannedMs + planAgeMsMax
    );
  }

  #replan(now: number): void {
    const { catalogue, standings, inventory, context } = this.#services;
    this.#plannedMs = now;
    this.#plannedOf = catalogue.runs.version;
    this.#plan = planRepairs(catalogue.runs.all(), (pool) => standings.standing(pool));
    const nodes = [...inventory.nodes()];
    const counts = { total: nodes.length, offline: nodes.filter((n) => n.state === "Offline").length };
    const brake = massFailure(counts, this.#options.massFailureShare);
    if (brake !== this.#brake && brake) this.#services.context.log.warn({ ...counts }, brake);
    this.#brake = brake;
    const queued = new Set(this.#plan.queue.map((c) => c.name));
    for (const name of this.#held.keys()) if (!queued.has(name)) this.#held.delete(name);
    // With very many runs planning takes a while: a tenth of the time at most.
    this.#planDueMs = now + Math.max(this.#options.replanMs, 10 * (context.clock.monotonicMs() - now));
    this.#wave.note(this.#plan.queue, new Set(this.#running.keys()));
    this.#observing ??= observeAll(this.#services, this.#statusBudget, this.#statusRefused)
      .catch((error) => this.#services.context.log.warn({ error: String(error) }, "stripe status not written"))
      .finally(() => {
        this.#observing = undefined;
      });
  }

  #start(candidate: RepairCandidate): void {
    const slot: { candidate: RepairCandidate; record: ActRecord | undefined } = { candidate, record: undefined };
    this.#running.set(candidate.name, slot);
    const work = this.#run(candidate, slot)
      .catch((error) => this.#hold(candidate.name, toAppError(error).message))
      .finally(() => {
        this.#running.delete(candidate.name);
        this.#work.delete(work);
        this.#planDueMs = 0;
      });
    this.#work.add(work);
  }

  async #run(candidate: RepairCandidate, slot: { record: ActRecord | undefined }): Promise<void> {
    const { bytesPerSecondMax, concurrency } = this.#options;
    const share =
      bytesPerSecondMax === undefined ? undefined : Math.max(1, Math.floor(bytesPerSecondMax / concurrency));
    const step = await repairStep(this.#services, candidate, share);
    // Held as well, lest the head of the queue be tried for ever and nothing behind it.
    if (step.what === "nothing") return this.#hold(candidate.name, "there is nothing that could be put now");
    if (step.what === "blocked") return this.#hold(candidate.name, step.reason);
    slot.record = step.record;
    const { answer, done } = await step.record.ended;
    if (answer.result !== "committed") return this.#hold(candidate.name, answer.reason ?? "the act was dropped");
    this.#wave.finished(candidate.stripes, done?.counts);
    this.#services.context.log.info({ run: candidate.name, partial: step.partial }, "run repaired");
    if (step.partial) this.#hold(candidate.name, step.partial);
    else this.#held.delete(candidate.name);
  }

  #hold(name: string, reason: string): void {
    const failures = (this.#held.get(name)?.failures ?? 0) + 1;
    const backoffMs = Math.min(backoffMsMax, backoffMsMin * 2 ** (failures - 1));
    this.#held.set(name, { reason, failures, notBeforeMs: this.#services.context.clock.monotonicMs() + backoffMs });
  }

  *#blocked(): Generator<{ stripe: string; reason: string }> {
    for (const lost of this.#plan.unrecoverable) yield { stripe: lost.name, reason: this.#whyLost(lost) };
    for (const candidate of this.#plan.queue) {
      const reason = this.#running.has(candidate.name) ? undefined : this.#whyBlocked(candidate);
      if (reason !== undefined) yield { stripe: candidate.name, reason };
    }
  }

  #whyBlocked({ name, spare }: RepairCandidate): string | undefined {
    return this.#held.get(name)?.reason ?? (spare > 0 ? this.#brake : undefined);
  }

  #whyLost({ name, volumeUuid, missing }: RepairQueue["unrecoverable"][number]): string {
    const entry = this.#services.catalogue.runs.get(volumeUuid, name);
    const pools = missing.map((shard) => {
      const l = entry?.shardLocations.find((x) => x.shardIndex === shard);
      return l
        ? `${l.nodeName}/${l.poolName} (${this.#services.standings.why(l.poolUuid)})`
        : `shard ${shard}, which no known pool holds`;
    });
    const range = entry ? `stripes ${entry.firstStripe}–${entry.firstStripe + entry.stripeCount - 1}` : name;
    return `${range} can't be reconstructed; missing are ${pools.join(", ")}`;
  }
}
