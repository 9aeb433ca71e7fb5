/**
 * The acts this agent moves for their owners: accepted once, bounded in number, reported until the owner has answered, stopped when it says so.
 * An act is listed in the heartbeats from its acceptance until its report is answered; it dies with this process.
 */
import {
  type ActDone,
  type ActDoneAnswer,
  type ActProgress,
  type ActTask,
  actKey,
  type EncodeTask,
} from "@couchestor/common/api/acts.ts";
import type { EncodeResult } from "@couchestor/common/api/admin.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toAppError } from "@couchestor/common/errors/http.ts";
import type { BrainPort } from "../ports.ts";
import type { ActContext } from "./act-context.ts";
import { ActMeter, stripesOf } from "./act-meter.ts";
import { reportDone } from "./act-reporter.ts";
import { checkEncodeTask, runEncode } from "./encode-act.ts";
import { runRebuild } from "./rebuild-act.ts";
import { checkRebuildTask } from "./rebuild-plan.ts";
import { runScrub } from "./scrub-act.ts";

export interface ActRunnerLimits {
  /** Acts accepted and not yet over. */
  acceptedMax: number;
  /** Rebuilds and scrubs that run at a time; the others wait. */
  backgroundMax: number;
  /** An encode act whose bytes don't begin to come within this time has failed. */
  dataWaitMs: number;
  /** Acts that are over and still known, so that a repeated order changes nothing. */
  rememberedMax: number;
}

export const actRunnerLimits: ActRunnerLimits = {
  acceptedMax: 64,
  backgroundMax: 4,
  dataWaitMs: 50_000,
  rememberedMax: 1024,
};

interface Act {
  task: ActTask;
  meter: ActMeter;
  stop: AbortController;
  /** encode: whether the bytes have begun to come. */
  fed: boolean;
  cancelWait: () => void;
  over: Promise<void>;
}

type Outcome = Partial<Pick<ActDone, "contentSha256" | "findings" | "findingsTruncated">>;

export class ActRunner {
  readonly #context: ActContext;
  readonly #parts: { brain: Pick<BrainPort, "actDone">; nodeName: string; instanceUuid: string };
  readonly #limits: ActRunnerLimits;
  readonly #acts = new Map<string, Act>();
  /** Keys of acts that are over, with their answers. */
  readonly #past = new Map<string, ActDoneAnswer>();
  readonly #queue: (() => void)[] = [];
  #running = 0;
  #stopped = false;
  /** For metrics: ends by kind and outcome, `rebuild done` → 3. */
  readonly ends = new Map<string, number>();

  constructor(
    context: ActContext,
    parts: { brain: Pick<BrainPort, "actDone">; nodeName: string; instanceUuid: string },
    limits: ActRunnerLimits = actRunnerLimits,
  ) {
    this.#context = context;
    this.#parts = parts;
    this.#limits = limits;
  }

  /** Takes an act on. `known`: it had been taken before; nothing changes. Throws `InvalidArgument`, or `Unavailable` when too many are under way. */
  accept(task: ActTask): "accepted" | "known" {
    const key = actKey(task.act);
    if (this.#acts.has(key) || this.#past.has(key)) return "known";
    if (this.#stopped) throw new AppError("Unavailable", "this agent is shutting down");
    if (this.#acts.size >= this.#limits.acceptedMax) {
      throw new AppError(
        "Unavailable",
        `${this.#acts.size} acts are under way here, at most ${this.#limits.acceptedMax} may be`,
      );
    }
    if (task.kind === "encode") checkEncodeTask(task);
    if (task.kind === "rebuild") checkRebuildTask(task);
    const meter = new ActMeter(stripesOf(task));
    const act: Act = {
      task,
      meter,
      stop: new AbortController(),
      fed: false,
      cancelWait: () => undefined,
      over: Promise.resolve(),
    };
    this.#acts.set(key, act);
    if (task.kind === "encode") this.#awaitData(key, act);
    else act.over = this.#runBackground(key, act, task);
    return "accepted";
  }

  /** Runs an encode act with the bytes of a client and answers when the owner has. Throws `NotFound` for an act not accepted, `Conflict` when its bytes came before. */
  async encode(
    key: string,
    body: ReadableStream<Uint8Array>,
    declaredBytes: number | undefined,
  ): Promise<EncodeResult> {
    const act = this.#acts.get(key);
    if (act === undefined || act.task.kind !== "encode") {
      throw new AppError(
        "NotFound",
        `act ${key}: no encode act of this name waits here for bytes; ask the brain for a new grant`,
        { data: { act: key } },
      );
    }
    if (act.fed)
      throw new AppError("Conflict", `act ${key}: its bytes are coming or came already; ask the brain for a new grant`);
    const task = act.task;
    if (declaredBytes !== undefined && declaredBytes !== task.contentBytes) {
      throw new AppError(
        "InvalidArgument",
        `content-length: got ${declaredBytes}, allowed: exactly ${task.contentBytes}`,
        {
          data: { field: "content-length", came: declaredBytes, allowed: task.contentBytes },
        },
      );
    }
    act.fed = true;
    act.cancelWait();
    const finished = this.#finishEncode(key, act, task, body);
    act.over = finished.then(
      () => undefined,
      () => undefined,
    );
    return await finished;
  }

  /** Stops an act and returns when nothing of it is under way. False: none of that name. */
  async stop(key: string): Promise<boolean> {
    const act = this.#acts.get(key);
    if (act === undefined) return this.#past.has(key);
    act.cancelWait();
    act.stop.abort(new AppError("Cancelled", `act ${key} was stopped by its owner`));
    await act.over.catch(() => undefined);
    this.#end(key, act, { result: "dropped", reason: "stopped by its owner" }, "stopped");
    return true;
  }

  progress(): ActProgress[] {
    return [...this.#acts.values()].map(({ task, meter }) => ({
      act: task.act,
      stripesDone: meter.stripes,
      stripesTotal: meter.stripesTotal,
      bytesMoved: meter.bytesMoved,
    }));
  }

  get active(): number {
    return this.#acts.size;
  }

  /** Takes nothing more and stops all: their owner sees this instance's end and drops them. */
  async shutdown(): Promise<void> {
    this.#stopped = true;
    for (const act of this.#acts.values()) {
      act.cancelWait();
      act.stop.abort(new AppError("Unavailable", "this agent is shutting down"));
    }
    await Promise.all([...this.#acts.values()].map((act) => act.over.catch(() => undefined)));
  }

  #awaitData(key: string, act: Act): void {
    act.cancelWait = this.#context.clock.after(this.#limits.dataWaitMs, () => {
      act.fed = true;
      const error = new AppError("Timeout", `no bytes came for the act within ${this.#limits.dataWaitMs} ms`, {
        retryable: false,
      });
      act.over = this.#report(key, act, { error }).then(
        () => undefined,
        () => undefined,
      );
    });
  }

  async #finishEncode(
    key: string,
    act: Act,
    task: EncodeTask,
    body: ReadableStream<Uint8Array>,
  ): Promise<EncodeResult> {
    let contentSha256: string;
    try {
      ({ contentSha256 } = await runEncode(this.#context, task, body, act.meter, act.stop.signal));
    } catch (error) {
      // The client hears of it at once; the owner as soon as it answers.
      act.over = this.#report(key, act, { error }).then(
        () => undefined,
        () => undefined,
      );
      throw error;
    }
    const answer = await this.#report(key, act, { outcome: { contentSha256 } });
    const codec = this.#context.codec.description;
    if (answer.result === "noted") throw new AppError("Internal", "the brain did not say whether it committed the act");
    return {
      result: answer.result,
      ...(answer.reason === undefined ? {} : { reason: answer.reason }),
      contentSha256,
      codec,
    };
  }

  async #runBackground(key: string, act: Act, task: Exclude<ActTask, EncodeTask>): Promise<void> {
    const { signal } = act.stop;
    try {
      let result: { outcome?: Outcome; error?: unknown };
      await this.#takeTurn(signal);
      try {
        signal.throwIfAborted();
        if (task.kind === "scrub") result = { outcome: await runScrub(this.#context, task, act.meter, signal) };
        else {
          await runRebuild(this.#context, task, act.meter, signal);
          result = {};
        }
      } catch (error) {
        result = { error };
      } finally {
        this.#giveTurn();
      }
      signal.throwIfAborted();
      await this.#report(key, act, result);
    } catch (error) {
      if (!signal.aborted) this.#context.log.error({ err: error, act: task.act }, "an act ended without a report");
    }
  }

  async #report(
    key: string,
    act: Act,
    { outcome = {}, error }: { outcome?: Outcome; error?: unknown },
  ): Promise<ActDoneAnswer> {
    const { task, meter, stop } = act;
    const failed = error === undefined ? undefined : toAppError(error);
    if (failed !== undefined) {
      stop.signal.throwIfAborted();
      this.#context.log.warn({ act: task.act, kind: task.kind, err: error }, "an act failed");
    }
    const done: ActDone = {
      act: task.act,
      nodeName: this.#parts.nodeName,
      instanceUuid: this.#parts.instanceUuid,
      kind: task.kind,
      outcome: failed === undefined ? "done" : "failed",
      counts: meter.counts(),
      codec: this.#context.codec.description,
      ...outcome,
      ...(failed === undefined ? {} : { error: { code: failed.code, message: failed.message, data: failed.data } }),
    };
    const { clock, log } = this.#context;
    const answer = await reportDone({ brain: this.#parts.brain, clock, log }, done, stop.signal);
    this.#end(key, act, answer, done.outcome);
    return answer;
  }

  #end(key: string, act: Act, answer: ActDoneAnswer, outcome: string): void {
    if (!this.#acts.delete(key)) return;
    this.#past.set(key, answer);
    if (this.#past.size > this.#limits.rememberedMax) this.#past.delete(this.#past.keys().next().value as string);
    const label = `${act.task.kind} ${outcome}`;
    this.ends.set(label, (this.ends.get(label) ?? 0) + 1);
  }

  async #takeTurn(signal: AbortSignal): Promise<void> {
    if (this.#running < this.#limits.backgroundMax) {
      this.#running++;
      return;
    }
    const turn = Promise.withResolvers<void>();
    this.#queue.push(turn.resolve);
    const leave = () => {
      const at = this.#queue.indexOf(turn.resolve);
      if (at >= 0) this.#queue.splice(at, 1);
      turn.reject(signal.reason);
    };
    signal.addEventListener("abort", leave, { once: true });
    await turn.promise.finally(() => signal.removeEventListener("abort", leave));
  }

  /** The turn goes to the next in line. */
  #giveTurn(): void {
    const next = this.#queue.shift();
    if (next === undefined) this.#running--;
    else next();
  }
}
