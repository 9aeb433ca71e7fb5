/**
 * How calls to peers are bounded: a timeout for each attempt, a few attempts with growing pauses, and a breaker that fails at once
 * while a peer is plainly down. Built on cockatiel; each policy has a name and its numbers here.
 */
import {
  ConsecutiveBreaker,
  circuitBreaker,
  ExponentialBackoff,
  handleWhen,
  isBrokenCircuitError,
  isTaskCancelledError,
  retry,
  TimeoutStrategy,
  timeout,
  wrap,
} from "cockatiel";
import { AppError } from "../errors/app-error.ts";

export interface PolicySettings {
  /** Limit of one attempt. */
  timeoutMs: number;
  /** Attempts in all, the first included. */
  attemptsMax: number;
  /** Pause before the second attempt; doubles, with jitter, up to `pauseMsMax`. */
  pauseMs: number;
  pauseMsMax: number;
  /** Failures in a row that open the breaker. */
  failuresToOpen: number;
  /** How long an open breaker refuses before it lets one call try. */
  openMs: number;
}

/** The numbers of each kind of call. */
export const policies = {
  /** Small questions that may be asked again: maps, lists, grants of nothing. */
  query: { timeoutMs: 5_000, attemptsMax: 3, pauseMs: 50, pauseMsMax: 1_000, failuresToOpen: 8, openMs: 2_000 },
  /** Chunk reads and writes, which are idempotent by name. */
  chunk: { timeoutMs: 30_000, attemptsMax: 2, pauseMs: 100, pauseMsMax: 1_000, failuresToOpen: 8, openMs: 2_000 },
  /** Orders that are repeated by a reconcile loop anyway. */
  order: { timeoutMs: 10_000, attemptsMax: 1, pauseMs: 0, pauseMsMax: 0, failuresToOpen: 8, openMs: 2_000 },
} as const satisfies Record<string, PolicySettings>;
export type PolicyName = keyof typeof policies;

/** Of the failure that an open breaker tells, characters. */
const lastFailureMax = 1_000;

/** Runs calls to one peer under one policy. Make one for each peer: the breaker is the peer's. */
export interface CallPolicy {
  /**
   * `work` gets a signal that aborts at the timeout or when `signal` does. Retried when it fails with a retryable `AppError`.
   * Throws the last failure; `Timeout` when an attempt took too long; `Unavailable` at once while the breaker is open, with the last failure in its text.
   */
  execute<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T>;
}

/** A policy for calls to `peer` (its name or address, for the messages). */
export function createPolicy(peer: string, settings: PolicySettings): CallPolicy {
  const retryable = handleWhen(isRetryable);
  const breaker = circuitBreaker(retryable, {
    halfOpenAfter: settings.openMs,
    breaker: new ConsecutiveBreaker(settings.failuresToOpen),
  });
  const limit = timeout(settings.timeoutMs, { strategy: TimeoutStrategy.Aggressive, abortOnReturn: false });
  const attempts = retry(retryable, {
    maxAttempts: settings.attemptsMax - 1,
    backoff: new ExponentialBackoff({ initialDelay: settings.pauseMs, maxDelay: settings.pauseMsMax }),
  });
  const guarded = settings.attemptsMax > 1 ? wrap(attempts, breaker) : wrap(breaker);
  let last = "";
  const attempt = (work: (signal: AbortSignal) => Promise<unknown>, outer: AbortSignal) =>
    limit
      .execute((inner) => work(inner.signal), outer)
      .catch((e) => fail(e, peer, settings))
      .catch((error) => {
        if (isRetryable(error)) last = (error as Error).message.slice(0, lastFailureMax);
        throw error;
      });
  return {
    async execute<T>(work: (signal: AbortSignal) => Promise<T>, signal?: AbortSignal): Promise<T> {
      try {
        return (await guarded.execute((outer) => attempt(work, outer.signal), signal)) as T;
      } catch (error) {
        if (!isBrokenCircuitError(error)) throw error;
        throw new AppError(
          "Unavailable",
          `${peer} failed ${settings.failuresToOpen} times in a row, last: ${last}; not asked again yet`,
          {
            data: { peer },
            cause: error,
          },
        );
      }
    },
  };
}

function fail(error: unknown, peer: string, settings: PolicySettings): never {
  if (!isTaskCancelledError(error)) throw error;
  throw new AppError("Timeout", `${peer} didn't answer within ${settings.timeoutMs} ms`, {
    data: { peer, timeoutMs: settings.timeoutMs },
    cause: error,
  });
}

/** Whether the same call may succeed later: our own retryable errors and failures of the connection. */
export function isRetryable(error: unknown): boolean {
  if (error instanceof AppError) return error.retryable;
  return isTaskCancelledError(error);
}
