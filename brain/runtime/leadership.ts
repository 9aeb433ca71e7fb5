/**
 * One term as leader. It lasts until `renewDeadlineMs` after the *sending* of the last renewal that succeeded, by this machine's own clocks;
 * others wait `leaseDurationMs` from when they saw that renewal, which is later. So it is over here before it can begin elsewhere.
 *
 * Every effect asks `assertLeader` right before it leaves. Between that and its arrival nothing can help but the effect itself: that is why
 * commits are compare-and-swap, why requests are limited by `remainingMs`, and why the two times differ.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Mark, Stopwatch } from "./stopwatch.ts";

export type TermEnd = "lost" | "released";

export class Leadership {
  readonly identity: string;
  /** How often the lease had changed hands when this term began: higher than that of every earlier term. */
  readonly term: number;
  readonly #stopwatch: Stopwatch;
  readonly #renewDeadlineMs: number;
  readonly #ended = Promise.withResolvers<TermEnd>();
  readonly #controller = new AbortController();
  #renewalSent: Mark;
  #over: { how: TermEnd; why: string } | undefined;

  constructor(options: {
    identity: string;
    term: number;
    stopwatch: Stopwatch;
    renewDeadlineMs: number;
    renewalSent: Mark;
  }) {
    this.identity = options.identity;
    this.term = options.term;
    this.#stopwatch = options.stopwatch;
    this.#renewDeadlineMs = options.renewDeadlineMs;
    this.#renewalSent = options.renewalSent;
  }

  /** Whether effects are allowed now. Once false, always false. */
  isLeader(): boolean {
    if (this.#over === undefined && this.#leftMs() <= 0) {
      this.end("lost", `the lease was last renewed more than ${this.#renewDeadlineMs} ms ago`);
    }
    return this.#over === undefined;
  }

  /** Throws `FailedPrecondition` unless this is still the leader. */
  assertLeader(): void {
    if (this.isLeader()) return;
    throw new AppError("FailedPrecondition", `${this.identity} is not the leader any more: ${this.#over?.why}`, {
      data: { reason: "NotLeader", identity: this.identity, term: this.term },
    });
  }

  /** For how long effects are still allowed if no renewal succeeds, in ms; 0 when it is over. */
  remainingMs(): number {
    return this.isLeader() ? Math.max(0, this.#leftMs()) : 0;
  }

  /** Aborts when the term ends. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Resolves when the term has ended, with how. */
  get whenEnded(): Promise<TermEnd> {
    return this.#ended.promise;
  }

  /** A renewal that was sent at `sent` has succeeded. False if the term was over by then: nothing brings it back. */
  renewed(sent: Mark): boolean {
    if (!this.isLeader()) return false;
    this.#renewalSent = sent;
    return this.isLeader();
  }

  /** Ends the term, at once and for good. */
  end(how: TermEnd, why: string): void {
    if (this.#over !== undefined) return;
    this.#over = { how, why };
    this.#controller.abort(new AppError("Cancelled", `the term of ${this.identity} is over: ${why}`));
    this.#ended.resolve(how);
  }

  #leftMs(): number {
    return this.#renewDeadlineMs - this.#stopwatch.atMostMs(this.#renewalSent);
  }
}
