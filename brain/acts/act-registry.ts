/**
 * The acts of this brain process: numbers them, hands them to movers, watches their progress, commits their results once, and drops those that are lost.
 * A dropped act's chunks are deleted by name; what arrives later under those names is garbage.
 */
import { type ActDone, type ActDoneAnswer, type ActId, type ActProgress, actKey } from "@couchestor/common/api/acts.ts";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { Inventory } from "../inventory/inventory.ts";
import type { BrainContext } from "../ports.ts";
import { ActAnswers } from "./act-answers.ts";
import { type ActLimits, actLimits } from "./act-limits.ts";
import { type ActEnd, type ActOrder, type ActRecord, failureOf, newRecord } from "./act-record.ts";
import type { ChunkOrders } from "./chunk-orders.ts";
import { FailedTargets } from "./failed-targets.ts";
import { Reservations } from "./reservations.ts";

export class ActRegistry {
  readonly #context: BrainContext;
  readonly #orders: ChunkOrders;
  readonly #limits: ActLimits;
  readonly #active = new Map<string, ActRecord>();
  readonly #answers: ActAnswers;
  readonly #nextNo = new Map<string, number>();
  /** Whether the store names an act as committed; `runName` if it is known which run it writes to. */
  readonly #committedBefore: (act: ActId, runName?: string) => Promise<boolean>;
  /** Where the last acts of each run failed. */
  readonly failures: FailedTargets;
  /** Bytes on their way to pools. */
  readonly reservations: Reservations;
  #stopped = false;

  constructor(
    context: BrainContext,
    parts: {
      inventory: Inventory;
      orders: ChunkOrders;
      committedBefore(act: ActId, runName?: string): Promise<boolean>;
    },
    limits: ActLimits = actLimits,
  ) {
    this.#context = context;
    this.#orders = parts.orders;
    this.#committedBefore = parts.committedBefore;
    this.#limits = limits;
    this.#answers = new ActAnswers(limits.answersMax);
    this.failures = new FailedTargets(context.clock);
    this.reservations = new Reservations(this.#active);
    parts.inventory.onChange(({ node, what }) => {
      if (what === "offline") this.#loseOf(node.name, () => true, "its mover went offline");
      if (what === "restarted" || what === "online") {
        const instance = node.heartbeat?.instanceUuid;
        this.#loseOf(node.name, (r) => r.order.mover.instanceUuid !== instance, "its mover restarted");
      }
    });
  }

  active(): IterableIterator<ActRecord> {
    return this.#active.values();
  }

  /** How many acts a node moves now. */
  loadOf(nodeName: string): number {
    let load = 0;
    for (const record of this.#active.values()) if (record.order.mover.nodeName === nodeName) load++;
    return load;
  }

  /** The act that writes to this run now, if any. Scrubs write nothing. */
  writerOf(runName: string): ActRecord | undefined {
    for (const record of this.#active.values()) {
      if (record.order.runName === runName && record.order.kind !== "scrub") return record;
    }
    return undefined;
  }

  isActive(act: ActId): boolean {
    return this.#active.has(actKey(act));
  }

  /**
   * Numbers the act and hands it to its mover. When this throws, the act has been dropped, or its commit was tried and the store has not said yet what
   * came of it (retryable). A mover may report before its acceptance is known here: then the record returned has ended already.
   */
  async begin(order: ActOrder): Promise<ActRecord> {
    if (this.#stopped) throw new AppError("Unavailable", "the brain is shutting down");
    if (this.#active.size >= this.#limits.activeMax) {
      throw new AppError(
        "Unavailable",
        `${this.#active.size} acts are under way, at most ${this.#limits.activeMax} may be`,
      );
    }
    const record = newRecord(order, this.#nextAct(order), this.#context.clock.monotonicMs());
    const key = actKey(record.act);
    this.#active.set(key, record);
    try {
      await this.#handOver(record);
    } catch (error) {
      const reason = `mover ${order.mover.nodeName} did not take it: ${toAppError(error).message}`;
      const answer = await this.drop(record, reason, toAppError(error));
      if (answer.result === "dropped") throw error;
    }
    return record;
  }

  /** What a mover reports. The same report again gets the same answer. Throws a retryable error while the outcome is unknown. */
  async done(done: ActDone): Promise<ActDoneAnswer> {
    const key = actKey(done.act);
    const record = this.#active.get(key);
    if (!record) return this.#answers.get(key) ?? this.#answerUnknown(done.act);
    const { mover } = record.order;
    if (done.instanceUuid !== mover.instanceUuid) {
      return { result: "dropped", reason: `the act was given to instance ${mover.instanceUuid} of ${mover.nodeName}` };
    }
    if (record.committing) return record.committing;
    record.acceptedMs ??= this.#context.clock.monotonicMs();
    if (done.outcome === "failed" || done.kind !== record.order.kind) {
      const error = failureOf(done);
      return this.drop(record, `the mover failed: ${error.message}`, error, done);
    }
    record.state = "committing";
    record.committing = this.#commit(record, done);
    return record.committing;
  }

  /** Progress from a heartbeat of a live node, as just received. */
  progress(nodeName: string, instanceUuid: string, acts: readonly ActProgress[]): void {
    const now = this.#context.clock.monotonicMs();
    const listed = new Map(acts.map((p) => [actKey(p.act), p]));
    for (const record of this.#active.values()) {
      if (record.order.mover.nodeName !== nodeName || record.order.mover.instanceUuid !== instanceUuid) continue;
      const progress = listed.get(actKey(record.act));
      if (progress) {
        if (progress.bytesMoved !== record.bytesMoved || progress.stripesDone !== record.stripesDone) {
          record.lastProgressMs = now;
        }
        record.bytesMoved = progress.bytesMoved;
        record.stripesDone = progress.stripesDone;
        record.missedBeats = 0;
      } else if (record.state === "running" && record.acceptedMs !== undefined && now > record.acceptedMs) {
        if (++record.missedBeats >= this.#limits.missedBeatsMax) {
          void this.drop(record, "its mover no longer knows it");
        }
      }
    }
  }

  /** Drops acts that stand still. Call it often. */
  tick(): void {
    const now = this.#context.clock.monotonicMs();
    for (const record of this.#active.values()) {
      if (record.state === "running" && now - record.lastProgressMs > this.#limits.stallMsMax) {
        void this.drop(record, `no progress for ${Math.round(this.#limits.stallMsMax / 1000)} s`);
      }
    }
  }

  /**
   * Gives an act up: its chunks are deleted by name, its mover is told to stop. One that is being committed is waited for instead, and its own
   * answer returned; if its outcome stays unknown this throws and nothing is deleted.
   */
  async drop(record: ActRecord, reason: string, error?: AppError, done?: ActDone): Promise<ActDoneAnswer> {
    if (record.committing) return record.committing;
    const answer: ActDoneAnswer = { result: "dropped", reason };
    if (record.state === "ended") return this.#answers.get(actKey(record.act)) ?? answer;
    this.#end(record, { answer, done, error });
    this.#context.log.warn(
      { act: record.act, kind: record.order.kind, run: record.order.runName, reason },
      "act dropped",
    );
    if (!record.unsure) this.#orders.enqueue(record.order.columns(record.act));
    if (!done) {
      const stop = this.#context.agents.cancelAct(record.order.mover.clusterUrl, actKey(record.act));
      void stop.catch((e) => this.#context.log.debug({ act: record.act, error: String(e) }, "mover not told to stop"));
    }
    return answer;
  }

  /** Drops every act that `which` selects and waits for those that are being committed. */
  async dropAll(which: (record: ActRecord) => boolean, reason: string): Promise<void> {
    await Promise.all([...this.#active.values()].filter(which).map((record) => this.drop(record, reason)));
  }

  /** No new acts from now on; those under way are left to their movers, whose reports the next brain will answer. */
  stop(): void {
    this.#stopped = true;
  }

  async #commit(record: ActRecord, done: ActDone): Promise<ActDoneAnswer> {
    try {
      const answer = await record.order.commit(record.act, done);
      this.#end(record, { answer, done });
      if (answer.result === "dropped" && !record.unsure) this.#orders.enqueue(record.order.columns(record.act));
      return answer;
    } catch (error) {
      const failed = toAppError(error);
      const unsureBefore = record.unsure;
      // Until the store has said that it does not name them, the act's chunks stay, whatever becomes of the record.
      record.unsure = true;
      try {
        if (failed.retryable) throw failed;
        return await this.#afterFailedCommit(record, done, failed, unsureBefore);
      } catch (unknown) {
        record.state = "running";
        record.committing = undefined;
        record.lastProgressMs = this.#context.clock.monotonicMs();
        throw unknown;
      }
    }
  }

  /** Something failed that is no use repeating. Whether the commit itself was made is asked of the store before anything is deleted. */
  async #afterFailedCommit(
    record: ActRecord,
    done: ActDone,
    error: AppError,
    unsureBefore: boolean,
  ): Promise<ActDoneAnswer> {
    this.#context.log.error(
      { act: record.act, error: error.message, cause: String(error.cause ?? "") },
      "a commit failed",
    );
    if (await this.#committedBefore(record.act, record.order.runName)) {
      this.#end(record, { answer: { result: "committed" }, done });
      return { result: "committed" };
    }
    record.committing = undefined;
    // An earlier attempt whose outcome was unknown may still reach the store: its chunks are for garbage collection, which fences first.
    record.unsure = unsureBefore;
    return this.drop(record, `not committed: ${error.message}`, error, done);
  }

  async #handOver(record: ActRecord): Promise<void> {
    const { mover } = record.order;
    const task = record.order.task(record.act);
    for (let attempt = 1; ; attempt++) {
      try {
        await this.#context.agents.startAct(mover.clusterUrl, task);
        break;
      } catch (error) {
        const again = isAppError(error) && error.retryable && attempt < this.#limits.startAttemptsMax;
        if (!again || record.state !== "starting") throw error;
      }
    }
    if (record.state === "ended") throw new AppError("Cancelled", "the act was dropped while it was handed over");
    if (record.state === "starting") record.state = "running";
    record.acceptedMs ??= this.#context.clock.monotonicMs();
    record.lastProgressMs = this.#context.clock.monotonicMs();
  }

  #loseOf(nodeName: string, which: (record: ActRecord) => boolean, reason: string): void {
    for (const record of this.#active.values()) {
      if (record.order.mover.nodeName === nodeName && which(record) && !record.committing)
        void this.drop(record, reason);
    }
  }

  #nextAct({ volumeUuid, epoch }: ActOrder): ActId {
    const counter = `${volumeUuid}.${epoch}`;
    const actNo = this.#nextNo.get(counter) ?? 1;
    if (actNo > 0xffff_ffff)
      throw new AppError("FailedPrecondition", "all act numbers of this epoch are used; restart the brain");
    this.#nextNo.set(counter, actNo + 1);
    return { volumeUuid, epoch, actNo };
  }

  #end(record: ActRecord, end: ActEnd): void {
    record.state = "ended";
    const key = actKey(record.act);
    this.#active.delete(key);
    this.#answers.set(key, end.answer);
    const { runName, mover, kind } = record.order;
    if (end.answer.result === "committed") {
      this.reservations.ended(record, this.#context.clock.monotonicMs());
      this.failures.forget(runName);
    } else if (kind !== "scrub") this.failures.note(runName, mover.nodeName, end.error);
    record.end(end);
  }

  /** An act of an earlier process, or of one whose answer is forgotten: it counts if the store names it. Its chunks are not deleted here [X2]. */
  async #answerUnknown(act: ActId): Promise<ActDoneAnswer> {
    if (await this.#committedBefore(act)) return { result: "committed" };
    return { result: "dropped", reason: "this brain did not grant the act, or has dropped it" };
  }
}
