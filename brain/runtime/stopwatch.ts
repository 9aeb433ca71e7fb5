/**
 * Time that has passed here, by two clocks: the monotonic one, which stands still while the machine is suspended, and the time since boot,
 * which doesn't. Whoever must not act too long believes the faster one, whoever must wait long enough the slower one. The wall clock, which
 * anybody may set, has no part in it.
 */
import { readFileSync } from "node:fs";
import type { Clock } from "@couchestor/common/runtime/clock.ts";

/** Milliseconds since boot, suspended time included; undefined where the system doesn't tell. */
export type BootClock = () => number | undefined;

/** A moment on both clocks. */
export interface Mark {
  monotonicMs: number;
  bootMs: number | undefined;
}

export class Stopwatch {
  readonly #clock: Clock;
  readonly #boot: BootClock;

  constructor(clock: Clock, boot: BootClock = systemBootMs) {
    this.#clock = clock;
    this.#boot = boot;
  }

  mark(): Mark {
    return { monotonicMs: this.#clock.monotonicMs(), bootMs: this.#boot() };
  }

  /** No more than this has passed since, as far as this machine knows. */
  atMostMs(since: Mark): number {
    return Math.max(...this.#both(since));
  }

  /** At least this has passed since. */
  atLeastMs(since: Mark): number {
    return Math.min(...this.#both(since));
  }

  #both(since: Mark): number[] {
    const monotonic = this.#clock.monotonicMs() - since.monotonicMs;
    const bootMs = since.bootMs === undefined ? undefined : this.#boot();
    return bootMs === undefined || since.bootMs === undefined ? [monotonic] : [monotonic, bootMs - since.bootMs];
  }
}

/** From /proc/uptime, in steps of 10 ms. */
export function systemBootMs(): number | undefined {
  try {
    const seconds = Number(readFileSync("/proc/uptime", "latin1").split(" ")[0]);
    return Number.isFinite(seconds) ? seconds * 1000 : undefined;
  } catch {
    return undefined;
  }
}
