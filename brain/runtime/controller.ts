/**
 * From changes to reconciliation: informers say which keys may need work, the queue hands each to one worker at a time, and `reconcile`
 * looks at the world as it is then. A key carries no event, so that a missed, doubled or late one does no harm.
 */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { type QueueLimits, type QueueStats, WorkQueue } from "./work-queue.ts";

export interface ReconcileResult {
  /** Look again then, even if nothing changes. */
  requeueAfterMs?: number;
}

export interface ReconcileContext {
  /** Aborts at the deadline and when the controller stops. */
  signal: AbortSignal;
  /** How often this key has failed in a row before. */
  failures: number;
}

/** Brings what `key` names nearer to what is wanted. Throws `TerminalError` when only a change can help; anything else is tried again. */
export type Reconcile = (key: string, context: ReconcileContext) => Promise<ReconcileResult | undefined>;

/** Trying again won't help: the next change of the object will bring the key back. */
export class TerminalError extends Error {
  override readonly name = "TerminalError";

  constructor(message: string, options?: { cause?: unknown }) {
    super(message, options);
  }
}

/** What a controller hears from: an informer, for one. */
export interface Source<Kept> {
  readonly whenSynced: Promise<void>;
  addHandler(handler: { added?(o: Kept): void; updated?(o: Kept, before: Kept): void; deleted?(o: Kept): void }): void;
  values(): Iterable<Kept>;
}

export interface ReconcileOutcome {
  key: string;
  outcome: "done" | "requeued" | "failed" | "terminal" | "conflict";
  tookMs: number;
}

export interface ControllerDeps {
  clock: Clock;
  prng: Prng;
  logger: Logger;
  onReconcile?: (outcome: ReconcileOutcome) => void;
}

export interface ControllerOptions {
  name: string;
  reconcile: Reconcile;
  workers?: number;
  reconcileMsMax?: number;
  queue?: Partial<QueueLimits>;
  /** Asked before each reconcile; throws when nothing may be done any more: a leader's check that it still is one. */
  mayAct?: () => void;
}

const roomMs = 200;

export class Controller {
  readonly name: string;
  readonly #deps: ControllerDeps;
  readonly #options: ControllerOptions;
  readonly #queue: WorkQueue;
  readonly #stop = new AbortController();
  readonly #keys: (() => Iterable<string>)[] = [];
  readonly #synced: Promise<void>[] = [];
  #workers: Promise<void>[] = [];
  #sweep: Promise<void> | undefined;
  #sweepAgain = false;

  constructor(deps: ControllerDeps, options: ControllerOptions) {
    this.name = options.name;
    this.#deps = deps;
    this.#options = options;
    this.#queue = new WorkQueue(deps, options.queue);
  }

  get queueStats(): QueueStats {
    return this.#queue.stats;
  }

  /** Lets changes of a source put keys in line. An update gives the keys of the object before it, too. */
  watch<Kept>(source: Source<Kept>, keysOf: (object: Kept) => Iterable<string>): this {
    const add = (object: Kept) => {
      for (const key of keysOf(object)) this.enqueue(key);
    };
    source.addHandler({
      added: add,
      updated: (object, before) => {
        add(object);
        if (before !== object) add(before);
      },
      deleted: add,
    });
    this.#keys.push(function* () {
      for (const object of source.values()) yield* keysOf(object);
    });
    this.#synced.push(source.whenSynced);
    return this;
  }

  /** Puts a key in line, in `afterMs` if given. */
  enqueue(key: string, afterMs = 0): void {
    if (!this.#queue.addAfter(key, afterMs)) this.#refused();
  }

  /** Begins to work when all sources are complete. */
  start(): void {
    const ready = Promise.all(this.#synced);
    const stopped = new Promise<void>((resolve) =>
      this.#stop.signal.addEventListener("abort", () => resolve(), { once: true }),
    );
    const count = this.#options.workers ?? 1;
    this.#workers = Array.from({ length: count }, async () => {
      await Promise.race([ready, stopped]);
      while (!this.#stop.signal.aborted) {
        const key = await this.#queue.next();
        if (key === undefined || this.#stop.signal.aborted) return;
        await this.#work(key);
      }
    });
  }

  /** Tells what runs to end, and waits for it. */
  async stop(): Promise<void> {
    this.#stop.abort();
    this.#queue.close();
    await Promise.all([...this.#workers, this.#sweep]);
  }

  async #work(key: string): Promise<void> {
    const startMs = this.#deps.clock.monotonicMs();
    let outcome: ReconcileOutcome["outcome"] = "done";
    try {
      outcome = await this.#reconcile(key);
    } catch (error) {
      outcome = this.#failed(key, error);
    } finally {
      this.#queue.done(key);
      this.#deps.onReconcile?.({ key, outcome, tookMs: this.#deps.clock.monotonicMs() - startMs });
    }
  }

  async #reconcile(key: string): Promise<"done" | "requeued"> {
    this.#options.mayAct?.();
    const { clock } = this.#deps;
    const deadlineMs = this.#options.reconcileMsMax ?? 120_000;
    const late = new AbortController();
    const cancel = clock.after(deadlineMs, () =>
      late.abort(new DOMException(`${this.name} ${key}: not within ${deadlineMs} ms`, "TimeoutError")),
    );
    try {
      const signal = AbortSignal.any([late.signal, this.#stop.signal]);
      const result = await this.#options.reconcile(key, { signal, failures: this.#queue.failuresOf(key) });
      this.#queue.forget(key);
      if (result?.requeueAfterMs === undefined) return "done";
      this.enqueue(key, result.requeueAfterMs);
      return "requeued";
    } finally {
      cancel();
    }
  }

  #failed(key: string, error: unknown): "failed" | "terminal" | "conflict" {
    const { logger } = this.#deps;
    const where = { controller: this.name, key };
    if (this.#stop.signal.aborted) return "failed";
    if (error instanceof TerminalError) {
      this.#queue.forget(key);
      logger.warn({ ...where, err: error }, "reconcile failed for good; waiting for a change");
      return "terminal";
    }
    const failures = this.#queue.failuresOf(key) + 1;
    const retryMs = Math.round(this.#queue.retry(key));
    // Somebody else wrote meanwhile: the next look sees it.
    if (isAppError(error, "Conflict")) {
      logger.debug({ ...where, retryMs }, "the object was changed meanwhile; looking again");
      return "conflict";
    }
    logger.warn({ ...where, err: error, failures, retryMs }, "reconcile failed; trying again");
    return "failed";
  }

  /** A full queue has refused keys, nobody knows which: all of them come again, as fast as there is room. */
  #refused(): void {
    this.#sweepAgain = true;
    if (this.#sweep !== undefined || this.#stop.signal.aborted) return;
    this.#deps.logger.warn({ controller: this.name, ...this.queueStats }, "the queue is full; all keys come again");
    this.#sweep = this.#sweepAll().finally(() => {
      this.#sweep = undefined;
    });
  }

  async #sweepAll(): Promise<void> {
    const { signal } = this.#stop;
    while (this.#sweepAgain && !signal.aborted) {
      this.#sweepAgain = false;
      for (const keys of this.#keys) {
        for (const key of keys()) {
          while (!signal.aborted && !this.#queue.add(key))
            await this.#deps.clock.sleep(roomMs, signal).catch(() => undefined);
        }
      }
    }
  }
}
