/**
 * Carries out Migrations, one turn at a time: reads, lets the state machine decide, writes the intent by compare-and-swap, makes the call.
 * Nothing is done that has not been written before; nothing is written or done by a brain that doesn't lead.
 */
import {
  type Migration,
  type MigrationSpec,
  type MigrationStatus,
  migrationKind,
} from "@couchestor/common/crd/migration.ts";
import { type AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { isoNow } from "@couchestor/common/runtime/clock.ts";
import type { MayastorFeatures } from "../mayastor/client.ts";
import type { ReconcileResult } from "../runtime/controller.ts";
import { withFinalizer, withoutFinalizer } from "../runtime/finalizer.ts";
import { type Call, make, nameOf } from "./calls.ts";
import { emptyStatus, isUntouched, type Journal, short } from "./journal.ts";
import { locksOf, StepLocks } from "./locks.ts";
import { look } from "./look.ts";
import { calledOff, type Machine, next } from "./machine.ts";
import { Memory } from "./memory.ts";
import type { LockKind } from "./movers/mover.ts";
import { newsOf } from "./news.ts";
import { policyHold } from "./policy-hold.ts";
import { type MigrationDeps, migrationFinalizer } from "./ports.ts";
import { withProgress } from "./progress.ts";
import { type Known, Registry } from "./registry.ts";
import { type MoverRules, soundRules } from "./rules.ts";
import { type MigrationSettings, migrationSettings } from "./settings.ts";
import { type Decision, finish, type Observation } from "./turn.ts";

/** How often figures and words alone are written. */
const cosmeticMs = 15_000;
const featuresMs = 60_000;
const holderMs = 60_000;

export class Migrations {
  /** Called with the name of a migration that waited for a lock and may have it now. */
  onWake: (name: string) => void = () => undefined;
  readonly #deps: MigrationDeps;
  readonly #machine: Machine;
  readonly #registry = new Registry();
  readonly #locks: StepLocks;
  readonly #memories = new Map<string, Memory>();
  #recovered: Promise<void> | undefined;
  #holderAskedMs = Number.NEGATIVE_INFINITY;
  #features: { found: MayastorFeatures; atMs: number } | undefined;

  constructor(deps: MigrationDeps, settings: MigrationSettings = migrationSettings, rules: MoverRules = soundRules) {
    this.#deps = deps;
    this.#machine = { settings, rules };
    this.#locks = new StepLocks(4 * settings.pollMs);
  }

  /** How many are under way, as far as this brain has looked. */
  get size(): number {
    return this.#registry.size;
  }

  /**
   * One turn for the Migration of that name. Returns when to come again; undefined when it has ended or is gone. Throws `Conflict` when somebody
   * else wrote it meanwhile, and what the store throws; the control plane's own failures are waited out.
   */
  async reconcile(name: string, signal?: AbortSignal): Promise<ReconcileResult | undefined> {
    await this.#recover();
    const object = (await this.#deps.store.get(migrationKind, name)) as Migration | undefined;
    if (object === undefined) return this.#forget(name);
    // Those of ECVolumes are carried out by others.
    if (object.spec.mover !== "Mayastor") return this.#forget(name);
    const finished = object.status?.phase === "Finished";
    const guarded = object.metadata.finalizers?.includes(migrationFinalizer) ?? false;
    if (finished) {
      this.#forget(name);
      if (guarded) await this.#update(withoutFinalizer(object, migrationFinalizer));
      return undefined;
    }
    if (!guarded) {
      // Nothing was ever begun without it.
      if (object.metadata.deletionTimestamp !== undefined) return this.#forget(name);
      await this.#update(withFinalizer(object, migrationFinalizer));
      return { requeueAfterMs: 0 };
    }
    return await this.#turn(object, signal);
  }

  async #turn(object: Migration, signal: AbortSignal | undefined): Promise<ReconcileResult | undefined> {
    const { clock } = this.#deps;
    const journal = journalOf(object);
    const { name } = journal;
    const memory = this.#memories.get(name) ?? new Memory(journal.status, clock.monotonicMs());
    this.#memories.set(name, memory);
    const known = knownOf(object);
    this.#registry.put(known);
    const hold = await policyHold(this.#deps, journal);
    let seen: Observation;
    try {
      const reads = await look(
        this.#deps,
        this.#machine,
        { journal, memory, features: () => this.#can(signal) },
        signal,
      );
      seen = { ...this.#observation(journal, memory, known, reads), policyHold: hold };
    } catch (error) {
      if (!isAppError(error) || signal?.aborted) throw error;
      memory.pendingAnew(clock.monotonicMs());
      // To end what was never begun nothing needs to be known.
      const off = isUntouched(journal.status) ? (calledOff(journal) ?? hold) : undefined;
      const message = short(`the control plane can't be read: ${error.message}`);
      const { status } = journal;
      const next =
        off === undefined ? { ...status, message } : finish({ status, seen: { now: isoNow(clock) } }, off).status;
      await this.#write(object, journal, memory, next);
      return { requeueAfterMs: off === undefined ? this.#machine.settings.pollMs : 0 };
    }
    const decision = next(journal, seen, this.#machine);
    return await this.#carryOut({ object, journal, memory, seen }, decision, signal);
  }

  #observation(
    journal: Journal,
    memory: Memory,
    known: Known,
    reads: Pick<Observation, "seen" | "settle" | "cluster" | "copiesByPool" | "rebuildProven">,
  ): Observation {
    const { clock } = this.#deps;
    const nowMs = clock.monotonicMs();
    return {
      ...reads,
      now: isoNow(clock),
      nonce: this.#deps.prng.u32().toString(16).padStart(8, "0"),
      elapsedMs: memory.elapsedMs(journal.status, nowMs),
      pendingMs: memory.pendingMs(nowMs),
      endingMs: memory.endingMs(journal.status, nowMs),
      unchangedMs: memory.unchangedMs(reads.seen, nowMs),
      lastCall: memory.lastCall,
      uncertainMs: memory.uncertainMs(nowMs),
      others: this.#registry.others(known),
      locks: this.#locks.standing(journal.name, nowMs),
    };
  }

  async #carryOut(
    { object, journal, memory, seen }: { object: Migration; journal: Journal; memory: Memory; seen: Observation },
    decision: Decision,
    signal: AbortSignal | undefined,
  ): Promise<ReconcileResult | undefined> {
    const { clock } = this.#deps;
    const { name } = journal;
    const nowMs = clock.monotonicMs();
    if (decision.fresh) memory.cluster = undefined;
    if (decision.busy) memory.pendingAnew(nowMs);
    this.#locks.wait(name, decision.wants ?? [], nowMs);
    for (const kind of decision.wants ?? []) await this.#checkHolder(seen.locks[kind], nowMs);
    if (decision.take !== undefined && !this.#locks.take(name, decision.take))
      return { requeueAfterMs: this.#machine.settings.pollMs };
    const wallMs = clock.wallMs();
    const status = withProgress(journal, decision.status, { seen: seen.seen, memory, nowMs, wallMs });
    const elapsedSeconds = Math.floor(seen.elapsedMs / 1000);
    await this.#write(object, journal, memory, { ...status, elapsedSeconds });
    for (const woken of this.#locks.settle(name, locksOf(status))) this.onWake(woken);
    if (decision.call !== undefined) await this.#call(memory, decision.call, signal);
    return decision.waitMs === undefined ? undefined : { requeueAfterMs: decision.waitMs };
  }

  async #call(
    memory: Memory,
    { step, call }: { step: number; call: Call },
    signal: AbortSignal | undefined,
  ): Promise<void> {
    const { clock, leadership, mayastor, metrics, log } = this.#deps;
    leadership.assertLeader();
    const before = memory.uncertainSince;
    memory.begun(step, call, clock.monotonicMs());
    const outcome = await make(mayastor, call, signal);
    memory.ended(call, outcome, clock.monotonicMs(), before);
    metrics.called({ kind: nameOf(call), outcome: outcome.kind });
    const level = outcome.kind === "done" ? "debug" : "info";
    log[level](
      { call, outcome: outcome.kind, ...(outcome.kind === "done" ? {} : { said: outcome.message }) },
      nameOf(call),
    );
  }

  /** Writes the journal if anything in it has changed; words and figures alone only now and then. */
  async #write(object: Migration, journal: Journal, memory: Memory, status: MigrationStatus): Promise<void> {
    const { store, clock, leadership, tell, metrics } = this.#deps;
    const nowMs = clock.monotonicMs();
    const changed = !Bun.deepEquals(essence(status), essence(journal.status));
    const stale = memory.writtenMs === undefined || nowMs - memory.writtenMs >= cosmeticMs;
    if (!changed && (!stale || Bun.deepEquals(status, journal.status))) return;
    leadership.assertLeader();
    await store.updateStatus(migrationKind, { ...object, status });
    memory.writtenMs = nowMs;
    this.#registry.put({ ...knownOf(object), status });
    for (const news of newsOf(journal, journal.status, status)) tell(news);
    if (status.phase !== "Finished" || status.outcome === undefined) return;
    const { result, reason } = status.outcome;
    const durationMs = (status.elapsedSeconds ?? 0) * 1000;
    metrics.ended({ result, reason, durationMs, bytes: status.bytesDone ?? 0 });
  }

  async #update(object: Migration): Promise<void> {
    this.#deps.leadership.assertLeader();
    await this.#deps.store.update(migrationKind, object);
  }

  /** What the journals say at the beginning of a term: who holds what. */
  #recover(): Promise<void> {
    this.#recovered ??= this.#readJournals().catch((error: unknown) => {
      this.#recovered = undefined;
      throw error;
    });
    return this.#recovered;
  }

  /** One that can't be read holds up nobody else: what is set for it shows at the control plane, and nobody goes on with it. */
  async #readJournals(): Promise<void> {
    const unreadable = (migration: string, error: AppError) =>
      this.#deps.log.error({ migration, error: error.message }, "a Migration can't be read, and is left as it is");
    for await (const { items } of this.#deps.store.pages<MigrationSpec, MigrationStatus>(migrationKind, { unreadable }))
      for (const object of items) {
        const known = knownOf(object);
        if (known.status.phase === "Finished") continue;
        this.#registry.put(known);
        this.#locks.take(known.name, locksOf(known.status));
      }
  }

  /** A holder whose end this brain has missed holds nothing: its object is asked, now and then. */
  async #checkHolder(state: Observation["locks"][LockKind], nowMs: number): Promise<void> {
    if (typeof state !== "object" || nowMs - this.#holderAskedMs < holderMs) return;
    this.#holderAskedMs = nowMs;
    const holder = (await this.#deps.store.get(migrationKind, state.holder)) as Migration | undefined;
    if (holder === undefined || holder.status?.phase === "Finished") this.#forget(state.holder);
  }

  async #can(signal: AbortSignal | undefined): Promise<MayastorFeatures> {
    const { clock, mayastor } = this.#deps;
    const nowMs = clock.monotonicMs();
    if (this.#features !== undefined && nowMs - this.#features.atMs < featuresMs) return this.#features.found;
    const found = await mayastor.features(signal);
    this.#features = { found, atMs: nowMs };
    return found;
  }

  #forget(name: string): undefined {
    this.#memories.delete(name);
    this.#registry.drop(name);
    this.#locks.wait(name, [], this.#deps.clock.monotonicMs());
    for (const woken of this.#locks.settle(name, [])) this.onWake(woken);
    return undefined;
  }
}

function journalOf({ metadata, spec, status }: Migration): Journal {
  return {
    name: metadata.name,
    uid: metadata.uid ?? metadata.name,
    generation: metadata.generation,
    spec,
    status: status ?? emptyStatus,
    deleting: metadata.deletionTimestamp !== undefined,
  };
}

function knownOf({ metadata, spec, status }: Migration): Known {
  return { name: metadata.name, createdAt: metadata.creationTimestamp ?? "", spec, status: status ?? emptyStatus };
}

/** The journal without what is there for people only. */
function essence(status: MigrationStatus): unknown {
  const {
    elapsedSeconds,
    message,
    bytesTotal,
    bytesDone,
    progressPercent,
    estimatedEndTime,
    observedGeneration,
    ...rest
  } = status;
  const steps = rest.steps.map((step) => {
    const { percent: _, ...observed } = step.observed ?? {};
    return step.state === "Intended" ? { ...step, observed } : step;
  });
  return { ...rest, steps };
}
