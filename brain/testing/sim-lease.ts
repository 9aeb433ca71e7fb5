/** A lease store on simulated time that is slow, loses answers and fails, and brains whose processes stand still. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Prng } from "@couchestor/common/runtime/prng.ts";
import type { Lease, LeaseStore } from "../runtime/lease.ts";

export interface SimFaults {
  /** Longest time of a request, and again of its answer, in ms. */
  delayMsMax: number;
  /** Of a hundred requests and answers, how many are lost. */
  lostPercent: number;
  /** No request arrives. */
  down?: boolean;
}

/** The one truth, and views of it for each brain. */
export class SimLease {
  current: Lease | undefined;
  #version = 0;
  readonly #clock: Clock;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  write(lease: Omit<Lease, "version">): Lease {
    this.current = { ...lease, version: String(++this.#version) };
    return { ...this.current };
  }

  view(prng: Prng, faults: () => SimFaults): LeaseStore {
    const call = <T>(timeoutMs: number, apply: () => T): Promise<T> => this.#call(prng, faults, timeoutMs, apply);
    return {
      read: (timeoutMs) => call(timeoutMs, () => this.current && { ...this.current }),
      create: (lease, timeoutMs) =>
        call(timeoutMs, () => {
          if (this.current !== undefined) throw new AppError("AlreadyExists", "the lease exists");
          return this.write(lease);
        }),
      replace: (lease, timeoutMs) =>
        call(timeoutMs, () => {
          if (this.current === undefined) throw new AppError("NotFound", "no lease");
          if (this.current.version !== lease.version) throw new AppError("Conflict", "the lease was changed");
          return this.write(lease);
        }),
    };
  }

  /** The request may arrive long after its sender has given up. */
  #call<T>(prng: Prng, faults: () => SimFaults, timeoutMs: number, apply: () => T): Promise<T> {
    const { delayMsMax, lostPercent, down = false } = faults();
    const { promise, resolve, reject } = Promise.withResolvers<T>();
    this.#clock.after(timeoutMs, () => reject(new AppError("Timeout", `no answer within ${timeoutMs} ms`)));
    const lost = () => down || prng.below(100) < lostPercent;
    if (lost()) return promise;
    this.#clock.after(prng.below(delayMsMax + 1), () => {
      let answer: () => void;
      try {
        const value = apply();
        answer = () => resolve(value);
      } catch (error) {
        answer = () => reject(error);
      }
      if (!lost()) this.#clock.after(prng.below(delayMsMax + 1), answer);
    });
    return promise;
  }
}

/** The clock of a process that can be stopped and continued, as SIGSTOP and SIGCONT do; its wall clock is off. */
export class StoppableClock implements Clock {
  readonly #clock: Clock;
  readonly #wallOffMs: number;
  #resumed = Promise.withResolvers<void>();
  stopped = false;

  constructor(clock: Clock, wallOffMs = 0) {
    this.#clock = clock;
    this.#wallOffMs = wallOffMs;
  }

  stop(): void {
    this.stopped = true;
  }

  resume(): void {
    this.stopped = false;
    this.#resumed.resolve();
    this.#resumed = Promise.withResolvers<void>();
  }

  wallMs(): number {
    return this.#clock.wallMs() + this.#wallOffMs;
  }

  monotonicMs(): number {
    return this.#clock.monotonicMs();
  }

  async sleep(ms: number, signal?: AbortSignal): Promise<void> {
    await this.#clock.sleep(ms, signal);
    while (this.stopped) await this.#resumed.promise;
  }

  after(ms: number, run: () => void): () => void {
    let cancelled = false;
    const cancel = this.#clock.after(ms, () => {
      const go = async () => {
        while (this.stopped) await this.#resumed.promise;
        if (!cancelled) run();
      };
      void go();
    });
    return () => {
      cancelled = true;
      cancel();
    };
  }
}
