/**
 * Starts and stops the parts of a brain in order: first those that every brain runs (caches, health, metrics), then, while it is the
 * leader, those that act. Each term gets parts of its own, made for its `Leadership`: what an old one still does, its leadership refuses.
 */
import type { Logger } from "@couchestor/common/observe/logger.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { ShutdownGroup } from "@couchestor/common/runtime/shutdown.ts";
import type { Leadership } from "./leadership.ts";

export interface Part {
  readonly name: string;
  /** Resolves when it has started. */
  start(): Promise<void> | void;
  /** Resolves when nothing of it runs any more. */
  stop(): Promise<void> | void;
  /** How long stopping may take. */
  stopMsMax?: number;
}

/** What the manager needs of an election; see `leader-election.ts`. */
export interface Election {
  campaign(signal: AbortSignal): Promise<{ readonly leadership: Leadership; release(): Promise<void> } | undefined>;
}

export interface ManagerDeps {
  clock: Clock;
  logger: Logger;
  /** Without one this process is always the leader of nothing: leader-only parts never start. */
  election?: Election;
}

export interface ManagerOptions {
  /** Started first to last, stopped last to first. */
  always: readonly Part[];
  /** Made anew for each term. */
  whileLeader?: (leadership: Leadership) => readonly Part[] | Promise<readonly Part[]>;
}

/** `stopped`: the signal aborted and everything ended. `stuck`: a part of an old term did not end in time; the process must end. */
export type ManagerEnd = "stopped" | "stuck";

const stopMsMaxDefault = 10_000;

export class Manager {
  readonly #deps: ManagerDeps;
  readonly #options: ManagerOptions;
  #leadership: Leadership | undefined;

  constructor(deps: ManagerDeps, options: ManagerOptions) {
    this.#deps = deps;
    this.#options = options;
  }

  /** Whether this process leads now. */
  get isLeader(): boolean {
    return this.#leadership?.isLeader() ?? false;
  }

  /** Runs until `signal` aborts. Throws what a part of `always` throws when it starts, after stopping those before it. */
  async run(signal: AbortSignal): Promise<ManagerEnd> {
    const always = new Running("brain", this.#deps);
    try {
      for (const part of this.#options.always) await always.start(part);
      return await this.#lead(signal);
    } finally {
      await always.stop();
    }
  }

  async #lead(signal: AbortSignal): Promise<ManagerEnd> {
    const { election } = this.#deps;
    const { whileLeader } = this.#options;
    if (election === undefined || whileLeader === undefined) {
      await aborted(signal);
      return "stopped";
    }
    while (!signal.aborted) {
      const term = await election.campaign(signal);
      if (term === undefined) break;
      this.#leadership = term.leadership;
      const running = new Running("leader", this.#deps);
      try {
        for (const part of await whileLeader(term.leadership)) {
          if (signal.aborted || !term.leadership.isLeader()) break;
          await running.start(part);
        }
        await Promise.race([aborted(signal), term.leadership.whenEnded]);
      } catch (error) {
        this.#deps.logger.error({ err: error }, "the parts of the leader can't start; giving the lease back");
      }
      // Everything that acts has stopped before the lease is anybody else's.
      const clean = await running.stop();
      if (!clean) {
        term.leadership.end("lost", "a part did not stop in time");
        return "stuck";
      }
      await term.release();
      if (!signal.aborted) await this.#deps.clock.sleep(restMs, signal).catch(() => undefined);
    }
    return "stopped";
  }
}

/** Between two terms, so that parts that can't start don't make the lease change hands all the time. */
const restMs = 1_000;

/** What has been started, to be stopped the other way round. */
class Running {
  readonly #deps: ManagerDeps;
  readonly #group: ShutdownGroup;

  constructor(name: string, deps: ManagerDeps) {
    this.#deps = deps;
    this.#group = new ShutdownGroup(name, deps.clock);
  }

  /** A part that fails to start is stopped too: it may have begun. */
  async start(part: Part): Promise<void> {
    this.#group.add(part.name, part.stopMsMax ?? stopMsMaxDefault, () => part.stop());
    await part.start();
    this.#deps.logger.debug({ part: part.name }, "started");
  }

  /** False if a part failed to stop or is still running. */
  async stop(): Promise<boolean> {
    const steps = await this.#group.run();
    for (const step of steps) {
      if (step.outcome !== "done")
        this.#deps.logger.error({ part: step.name, outcome: step.outcome, err: step.error }, "a part did not stop");
    }
    return steps.every((step) => step.outcome === "done");
  }
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });
}
