/** The running of one term: renews the lease until the term is lost or released. */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { Leadership } from "./leadership.ts";
import type { Lease, LeaseStore, LeaseTimes } from "./lease.ts";
import type { Stopwatch } from "./stopwatch.ts";

export interface TermDeps {
  store: LeaseStore;
  clock: Clock;
  logger: Logger;
}

export interface TermOptions {
  leadership: Leadership;
  /** As it was written when it was taken. */
  lease: Lease;
  times: LeaseTimes;
  stopwatch: Stopwatch;
}

export class Term {
  readonly leadership: Leadership;
  readonly #deps: TermDeps;
  readonly #times: LeaseTimes;
  readonly #stopwatch: Stopwatch;
  readonly #stop = new AbortController();
  readonly #renewing: Promise<void>;
  #lease: Lease;
  #cancelDeadline: (() => void) | undefined;
  #releasing: Promise<void> | undefined;

  constructor(deps: TermDeps, options: TermOptions) {
    this.#deps = deps;
    this.leadership = options.leadership;
    this.#lease = options.lease;
    this.#times = options.times;
    this.#stopwatch = options.stopwatch;
    this.leadership.signal.addEventListener("abort", () => this.#ended(), { once: true });
    this.#watchDeadline();
    this.#renewing = this.#renew();
  }

  /**
   * Ends the term and gives the lease to whoever comes first. Call it when everything that acts as the leader has stopped: it may begin
   * elsewhere a moment later. If the lease can't be written, others wait out its duration, as after a crash.
   */
  release(): Promise<void> {
    this.#releasing ??= this.#release();
    return this.#releasing;
  }

  /** Resolves when the term has ended and nothing of it will write the lease any more. */
  async finished(): Promise<void> {
    await this.leadership.whenEnded;
    await this.#renewing;
    await this.#releasing;
  }

  async #release(): Promise<void> {
    const held = this.leadership.isLeader();
    this.leadership.end("released", "it was released");
    await this.#renewing;
    if (!held) return;
    try {
      const free = { ...this.#lease, holder: "", durationMs: 1000, renewedAt: isoNow(this.#deps.clock) };
      await this.#deps.store.replace(free, this.#times.retryPeriodMs);
    } catch (error) {
      this.#deps.logger.warn({ err: error }, "the lease could not be released; others wait until it runs out");
    }
  }

  /** Makes the end known when nothing asks. */
  #watchDeadline(): void {
    if (!this.leadership.isLeader()) return;
    this.#cancelDeadline = this.#deps.clock.after(Math.max(1, this.leadership.remainingMs()), () =>
      this.#watchDeadline(),
    );
  }

  #ended(): void {
    this.#cancelDeadline?.();
    this.#stop.abort();
  }

  async #renew(): Promise<void> {
    const { clock, logger } = this.#deps;
    const { leadership } = this;
    while (leadership.isLeader()) {
      await clock.sleep(this.#times.retryPeriodMs, this.#stop.signal).catch(() => undefined);
      if (!leadership.isLeader()) break;
      try {
        await this.#renewOnce();
      } catch (error) {
        if (leadership.isLeader())
          logger.warn(
            { err: error, remainingMs: leadership.remainingMs() },
            "the lease could not be renewed; trying again",
          );
      }
    }
    if ((await leadership.whenEnded) === "lost") logger.error({ identity: leadership.identity }, "lost the lease");
  }

  async #renewOnce(): Promise<void> {
    const { store, clock } = this.#deps;
    const timeoutMs = Math.max(1, Math.min(this.leadership.remainingMs(), this.#times.renewDeadlineMs / 2));
    const sent = this.#stopwatch.mark();
    try {
      this.#lease = await store.replace({ ...this.#lease, renewedAt: isoNow(clock) }, timeoutMs);
      this.leadership.renewed(sent);
    } catch (error) {
      if (isAppError(error, "NotFound")) return this.leadership.end("lost", "the lease was deleted");
      if (!isAppError(error, "Conflict")) throw error;
      await this.#readAgain(timeoutMs);
    }
  }

  /** After a conflict: somebody annotated it, a renewal of ours whose answer was lost came through, or it is another's. */
  async #readAgain(timeoutMs: number): Promise<void> {
    const current = await this.#deps.store.read(timeoutMs);
    if (current === undefined) return this.leadership.end("lost", "the lease was deleted");
    if (current.holder !== this.leadership.identity) {
      return this.leadership.end("lost", `the lease is held by ${current.holder === "" ? "nobody" : current.holder}`);
    }
    if (!this.leadership.isLeader()) return;
    const sent = this.#stopwatch.mark();
    this.#lease = await this.#deps.store.replace({ ...current, renewedAt: isoNow(this.#deps.clock) }, timeoutMs);
    this.leadership.renewed(sent);
  }
}
