/**
 * A rate limit on the Clock port: tokens (bytes, requests) flow in at a steady rate and gather up to a burst.
 */
import { AppError } from "../errors/app-error.ts";
import type { Clock } from "../runtime/clock.ts";

export interface TokenBucketOptions {
  /** Tokens a second, more than 0. */
  ratePerSecond: number;
  /** How many tokens gather while nobody takes any; a second's worth unless told otherwise. */
  burst?: number;
}

/**
 * Callers are served in the order they came. One may take more than the burst: it goes when the bucket is full, and leaves it in
 * debt, so that the rate holds over time and big requests never starve.
 */
export class TokenBucket {
  readonly #clock: Clock;
  #ratePerSecond: number;
  #burst: number;
  #tokens: number;
  #countedAtMs: number;
  #line: Promise<void> = Promise.resolve();

  constructor(clock: Clock, options: TokenBucketOptions) {
    const { ratePerSecond, burst = ratePerSecond } = options;
    this.#clock = clock;
    this.#ratePerSecond = checkPositive(ratePerSecond, "ratePerSecond");
    this.#burst = checkPositive(burst, "burst");
    this.#tokens = burst;
    this.#countedAtMs = clock.monotonicMs();
  }

  /** Changes the rate from now on; whoever waits notices within 100 ms. */
  setRate(ratePerSecond: number, burst = ratePerSecond): void {
    this.#refill();
    this.#ratePerSecond = checkPositive(ratePerSecond, "ratePerSecond");
    this.#burst = checkPositive(burst, "burst");
    this.#tokens = Math.min(this.#tokens, burst);
  }

  /** Takes `count` tokens if they are there now; otherwise takes none and returns false. */
  tryTake(count: number): boolean {
    this.#refill();
    if (this.#tokens < count) return false;
    this.#tokens -= count;
    return true;
  }

  /** Waits for its turn and takes `count` tokens. Rejects with `signal.reason`, taking nothing, if that aborts first. */
  take(count: number, signal?: AbortSignal): Promise<void> {
    const turn = this.#line.then(() => this.#takeInTurn(count, signal));
    this.#line = turn.catch(() => undefined);
    return turn;
  }

  async #takeInTurn(count: number, signal: AbortSignal | undefined): Promise<void> {
    signal?.throwIfAborted();
    for (;;) {
      this.#refill();
      const missing = Math.min(count, this.#burst) - this.#tokens;
      if (missing <= 0) break;
      await this.#clock.sleep(Math.min(100, Math.max(1, (missing / this.#ratePerSecond) * 1000)), signal);
    }
    this.#tokens -= count;
  }

  #refill(): void {
    const nowMs = this.#clock.monotonicMs();
    const gained = ((nowMs - this.#countedAtMs) / 1000) * this.#ratePerSecond;
    this.#tokens = Math.min(this.#burst, this.#tokens + gained);
    this.#countedAtMs = nowMs;
  }
}

function checkPositive(value: number, what: string): number {
  if (Number.isFinite(value) && value > 0) return value;
  throw new AppError("InvalidArgument", `${what}: got ${value}, allowed is a number above 0`, {
    data: { what, came: value },
  });
}
