/**
 * A brain's process: everything it does to the world goes through here, so that it can be killed right before or right after any of it. Who has
 * been killed does nothing more, and learns nothing more: what it waited for never comes.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { type Prng, seededPrng } from "@couchestor/common/runtime/prng.ts";
import { MayastorClient } from "../../mayastor/client.ts";
import type { MayastorAnswer, MayastorRequest, MayastorTransport } from "../../mayastor/transport.ts";
import { silentLog } from "../../ports.ts";
import type { EcStanding, MigrationDeps, MigrationNews } from "../ports.ts";
import type { MigrationSettings } from "../settings.ts";
import type { MemoryStore } from "./memory-store.ts";

/** What drives Migrations, as far as a history needs it. */
export interface Driver {
  reconcile(name: string): Promise<{ requeueAfterMs?: number } | undefined>;
}

/** Starts one. */
export type MakeDriver = (deps: MigrationDeps, settings: MigrationSettings) => Driver;

export interface KillPoint {
  /** The process's how-manieth effect: a call or a write that changes something. */
  effect: number;
  /** Whether the effect still takes place. */
  after: boolean;
}

export interface BrainOptions {
  clock: Clock;
  seed: number;
  transport: MayastorTransport;
  store: MemoryStore;
  ecHealth: (volumeName: string) => EcStanding | undefined;
  makeDriver: MakeDriver;
  settings: MigrationSettings;
  killAt?: KillPoint | undefined;
  /** Of a thousand accesses to the store, how many fail; half of those writes are done all the same. */
  storeFaultPermille?: number;
  /** How far its wall clock is off. */
  wallSkewMs?: number;
  onKilled?: () => void;
  onNews?: (news: MigrationNews) => void;
}

const pauseMs = 5_000;
const pauseMsMax = 60_000;

export class SimBrain {
  readonly errors: string[] = [];
  /** Calls and writes that change something, so far. */
  effects = 0;
  storeFaults = 0;
  #alive = true;
  #leads = true;
  readonly #options: BrainOptions;
  readonly #prng: Prng;
  readonly #driver: Driver;

  constructor(options: BrainOptions) {
    this.#options = options;
    this.#prng = seededPrng(options.seed);
    this.#driver = options.makeDriver(this.#deps(), options.settings);
  }

  get alive(): boolean {
    return this.#alive && this.#leads;
  }

  kill(): void {
    if (!this.#alive) return;
    this.#alive = false;
    this.#options.onKilled?.();
  }

  /** It is not the leader any more, and knows it. What it had sent is on its way. */
  depose(): void {
    this.#leads = false;
  }

  /** Works on a migration until it has ended or the process has. */
  async work(name: string, hasEnded: () => boolean): Promise<void> {
    let failures = 0;
    while (this.alive && !hasEnded()) {
      let waitMs = 30_000;
      try {
        waitMs = (await this.#driver.reconcile(name))?.requeueAfterMs ?? waitMs;
        failures = 0;
      } catch (error) {
        failures += 1;
        if (this.errors.length < 50) this.errors.push(String(error));
        waitMs = Math.min(pauseMsMax, pauseMs * 2 ** Math.min(failures - 1, 10));
      }
      await this.#clock().sleep(Math.max(1, waitMs));
    }
  }

  #deps(): MigrationDeps {
    return {
      store: this.#store(),
      mayastor: new MayastorClient({ transport: this.#transport() }),
      clock: this.#clock(),
      prng: this.#prng,
      log: silentLog,
      leadership: {
        assertLeader: () => {
          if (!this.#leads) throw new AppError("FailedPrecondition", "not the leader any more");
        },
      },
      ecHealth: (volumeName) => Promise.resolve(this.#options.ecHealth(volumeName)),
      tell: (news) => this.#alive && this.#options.onNews?.(news),
      metrics: { ended() {}, called() {} },
    };
  }

  #clock(): Clock {
    const { clock, wallSkewMs = 0 } = this.#options;
    return {
      wallMs: () => clock.wallMs() + wallSkewMs,
      monotonicMs: () => clock.monotonicMs(),
      sleep: (ms, signal) => clock.sleep(ms, signal).then(() => (this.#alive ? undefined : never())),
      after: (ms, run) => clock.after(ms, () => this.#alive && run()),
    };
  }

  #transport(): MayastorTransport {
    const { transport } = this.#options;
    return {
      request: (request: MayastorRequest): Promise<MayastorAnswer> => {
        const send = () => transport.request(request);
        return request.method === "GET" ? this.#read(send) : this.#effect(send);
      },
    };
  }

  #store(): MigrationDeps["store"] {
    const { store } = this.#options;
    return {
      get: (kind, name) => this.#read(() => this.#storeAccess(() => store.get(kind, name), false)),
      pages: (kind, options) => {
        const whole = () => this.#storeAccess(() => store.list(kind, options?.namePrefix), false);
        const read = () => this.#read(whole);
        return (async function* () {
          yield await read();
        })();
      },
      update: (kind, object) => this.#effect(() => this.#storeAccess(() => store.update(kind, object), true)),
      updateStatus: (kind, object) =>
        this.#effect(() => this.#storeAccess(() => store.updateStatus(kind, object), true)),
    };
  }

  async #read<T>(run: () => Promise<T>): Promise<T> {
    if (!this.#alive) return never();
    return await this.#outlive(run());
  }

  async #effect<T>(run: () => Promise<T>): Promise<T> {
    if (!this.#alive) return never();
    this.effects += 1;
    const { killAt } = this.#options;
    const isLast = killAt?.effect === this.effects;
    if (isLast && killAt?.after === false) {
      this.kill();
      return never();
    }
    const done = run();
    if (isLast) {
      // It has left the process.
      done.catch(() => undefined);
      this.kill();
    }
    return await this.#outlive(done);
  }

  async #outlive<T>(work: Promise<T>): Promise<T> {
    try {
      const result = await work;
      return this.#alive ? result : await never();
    } catch (error) {
      if (!this.#alive) return never();
      throw error;
    }
  }

  async #storeAccess<T>(run: () => Promise<T>, isWrite: boolean): Promise<T> {
    const { storeFaultPermille = 0, clock } = this.#options;
    await clock.sleep(2);
    if (this.#prng.below(1000) >= storeFaultPermille) return await run();
    this.storeFaults += 1;
    if (isWrite && this.#prng.below(2) === 0) await run();
    throw new AppError("Unavailable", "the store does not answer");
  }
}

/** What never comes. */
function never<T>(): Promise<T> {
  return new Promise<T>(() => undefined);
}
