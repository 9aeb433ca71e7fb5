/**
 * Leader election by a lease. No brain's wall clock is compared with another's: a candidate watches whether the lease changes, and takes it
 * only when it has seen the same version for the whole lease duration, by compare-and-swap on that version. A holder counts its own time.
 */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import type { Logger } from "@couchestor/common/observe/logger.ts";
import { type Clock, isoNow } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import { Leadership } from "./leadership.ts";
import { type Lease, type LeaseStore, type LeaseTimes, leaseTimes } from "./lease.ts";
import { type BootClock, type Mark, Stopwatch } from "./stopwatch.ts";
import { Term } from "./term.ts";

export interface ElectionDeps {
  store: LeaseStore;
  clock: Clock;
  prng: Prng;
  logger: Logger;
  boot?: BootClock;
}

export interface ElectionOptions {
  /** Host or pod name. A UUID is added, so that no other process is ever taken for this one. */
  name: string;
  times?: LeaseTimes;
  /**
   * Take a lease that isn't there at once. Default: write it as held by somebody unknown, and wait that one out, because it may have been
   * deleted under a holder that still acts; that is one lease duration, once in the life of a cluster. For tests, and where nobody else can be.
   */
  absentMeansNew?: boolean;
}

/** Stands in a lease that was found missing. */
const unknownHolder = "unknown";

interface Seen {
  version: string;
  durationMs: number;
  at: Mark;
}

export class LeaderElection {
  readonly #deps: ElectionDeps;
  readonly #identity: string;
  readonly #times: LeaseTimes;
  readonly #absentMeansNew: boolean;
  readonly #stopwatch: Stopwatch;
  #seen: Seen | undefined;
  #leader = "";
  #term: Term | undefined;

  constructor(deps: ElectionDeps, options: ElectionOptions) {
    this.#deps = deps;
    this.#identity = `${options.name}_${deps.prng.uuid()}`;
    this.#absentMeansNew = options.absentMeansNew ?? false;
    this.#times = checkTimes(options.times ?? leaseTimes);
    this.#stopwatch = new Stopwatch(deps.clock, deps.boot);
  }

  /** Under which this process holds the lease. */
  get identity(): string {
    return this.#identity;
  }

  /** Who holds the lease, as last seen; empty if nobody or unknown. */
  get leader(): string {
    return this.#leader;
  }

  /** Waits until this process is the leader. Its term is renewed in the background until it is lost or released. Undefined: `signal` aborted. */
  async campaign(signal: AbortSignal): Promise<Term | undefined> {
    const { clock, prng, logger } = this.#deps;
    // Two terms of one identity would take each other's lease for their own.
    await this.#term?.finished();
    while (!signal.aborted) {
      try {
        this.#term = await this.#attempt();
        if (this.#term !== undefined) return this.#term;
      } catch (error) {
        // Losing a race is what races are for.
        const lost = isAppError(error, "Conflict") || isAppError(error, "AlreadyExists");
        if (!lost) logger.warn({ err: error }, "the lease can't be read or taken; trying again");
      }
      await clock.sleep(this.#times.retryPeriodMs * (1 + prng.float() / 5), signal).catch(() => undefined);
    }
    return undefined;
  }

  async #attempt(): Promise<Term | undefined> {
    const { store } = this.#deps;
    const timeoutMs = this.#times.renewDeadlineMs / 2;
    let lease = await store.read(timeoutMs);
    // Absence has no version: nobody could tell whether a lease came and went between two looks. An unknown holder's lease has one.
    if (lease === undefined && !this.#absentMeansNew)
      lease = await store.create({ ...this.#lease(undefined), holder: unknownHolder }, timeoutMs);
    this.#note(lease);
    if (!this.#mayTake(lease)) return undefined;
    const taken = this.#lease(lease);
    const sent = this.#stopwatch.mark();
    const mine =
      lease === undefined
        ? await store.create(taken, timeoutMs)
        : await store.replace({ ...taken, version: lease.version }, timeoutMs);
    const leadership = new Leadership({
      identity: this.#identity,
      term: mine.transitions,
      stopwatch: this.#stopwatch,
      renewDeadlineMs: this.#times.renewDeadlineMs,
      renewalSent: sent,
    });
    this.#leader = this.#identity;
    this.#deps.logger.info({ identity: this.#identity, term: leadership.term }, "became the leader");
    // An answer that took too long leaves nothing of the term; the campaign goes on by reading again.
    if (!leadership.isLeader()) return undefined;
    return new Term(this.#deps, { leadership, lease: mine, times: this.#times, stopwatch: this.#stopwatch });
  }

  /** Counted from after the answer, which is later than the renewal that it shows. */
  #note(lease: Lease | undefined): void {
    this.#leader = lease === undefined || lease.holder === unknownHolder ? "" : lease.holder;
    if (lease === undefined || this.#seen?.version === lease.version) return;
    this.#seen = { version: lease.version, durationMs: lease.durationMs, at: this.#stopwatch.mark() };
  }

  #mayTake(lease: Lease | undefined): boolean {
    if (lease === undefined) return true;
    // Ours: the answer to an earlier attempt was lost, and no term came of it. Nobody's: it was released after all had stopped.
    if (lease.holder === "" || lease.holder === this.#identity) return true;
    if (this.#seen === undefined) return false;
    const waitMs = Math.max(this.#times.leaseDurationMs, this.#seen.durationMs);
    return this.#stopwatch.atLeastMs(this.#seen.at) >= waitMs;
  }

  #lease(before: Lease | undefined): Omit<Lease, "version"> {
    const now = isoNow(this.#deps.clock);
    const same = before?.holder === this.#identity;
    return {
      holder: this.#identity,
      durationMs: this.#times.leaseDurationMs,
      acquiredAt: same && before !== undefined ? before.acquiredAt : now,
      renewedAt: now,
      transitions: (before?.transitions ?? 0) + (same ? 0 : 1),
    };
  }
}

function checkTimes(times: LeaseTimes): LeaseTimes {
  const { leaseDurationMs, renewDeadlineMs, retryPeriodMs } = times;
  if (leaseDurationMs > renewDeadlineMs && renewDeadlineMs > 1.2 * retryPeriodMs && retryPeriodMs > 0) return times;
  throw new AppError(
    "InvalidArgument",
    `lease times: got duration ${leaseDurationMs} ms, renew deadline ${renewDeadlineMs} ms, retry period ${retryPeriodMs} ms; ` +
      "allowed is duration > renew deadline > 1.2 × retry period > 0",
    { data: { ...times } },
  );
}
