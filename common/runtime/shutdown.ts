/**
 * Ordered shutdown: what was started last stops first, each step within its deadline, and no step that fails or hangs keeps the
 * others from running. Groups nest: a child group is one step of its parent.
 */
import type { Clock } from "./clock.ts";

export interface ShutdownStepResult {
  /** Names of the groups and the step, `agent/http/admin`. */
  name: string;
  outcome: "done" | "failed" | "late";
  tookMs: number;
  error?: unknown;
}

interface Step {
  name: string;
  deadlineMs: number;
  run(signal: AbortSignal): Promise<ShutdownStepResult[] | undefined>;
}

export class ShutdownGroup {
  readonly name: string;
  readonly #clock: Clock;
  readonly #steps: Step[] = [];
  #running: Promise<ShutdownStepResult[]> | undefined;

  constructor(name: string, clock: Clock) {
    this.name = name;
    this.#clock = clock;
  }

  /** Adds a step. Its signal aborts at the deadline; what still runs then is left behind and reported as late. */
  add(name: string, deadlineMs: number, run: (signal: AbortSignal) => Promise<void> | void): void {
    this.#steps.push({
      name,
      deadlineMs,
      run: async (signal) => {
        await run(signal);
        return undefined;
      },
    });
  }

  /** Adds a group that stops as one step of this one, within `deadlineMs` in all. */
  child(name: string, deadlineMs: number): ShutdownGroup {
    const group = new ShutdownGroup(`${this.name}/${name}`, this.#clock);
    this.#steps.push({ name, deadlineMs, run: () => group.run() });
    return group;
  }

  /** Runs all steps, last added first. Later calls get the same result. Never throws. */
  run(): Promise<ShutdownStepResult[]> {
    this.#running ??= this.#runAll();
    return this.#running;
  }

  async #runAll(): Promise<ShutdownStepResult[]> {
    const results: ShutdownStepResult[] = [];
    for (const step of this.#steps.toReversed()) results.push(...(await this.#runStep(step)));
    return results;
  }

  async #runStep(step: Step): Promise<ShutdownStepResult[]> {
    const startMs = this.#clock.monotonicMs();
    const name = `${this.name}/${step.name}`;
    const result = (outcome: ShutdownStepResult["outcome"], error?: unknown): ShutdownStepResult => ({
      name,
      outcome,
      tookMs: this.#clock.monotonicMs() - startMs,
      ...(error === undefined ? {} : { error }),
    });
    const deadline = new AbortController();
    const late = Promise.withResolvers<"late">();
    const cancel = this.#clock.after(step.deadlineMs, () => {
      deadline.abort(new DOMException(`${name} has ${step.deadlineMs} ms to stop`, "TimeoutError"));
      late.resolve("late");
    });
    try {
      const outcome = await Promise.race([step.run(deadline.signal), late.promise]);
      if (outcome === "late") return [result("late")];
      return outcome === undefined ? [result("done")] : outcome;
    } catch (error) {
      return [result("failed", error)];
    } finally {
      cancel();
    }
  }
}

/**
 * Calls `stop` with the name of the first SIGTERM or SIGINT; a second one of either ends the process at once with code 130.
 * Returns a function that takes the handlers away again.
 */
export function onStopSignal(stop: (signal: string) => void): () => void {
  let seen = false;
  const handle = (signal: NodeJS.Signals): void => {
    if (seen) process.exit(130);
    seen = true;
    stop(signal);
  };
  process.on("SIGTERM", handle);
  process.on("SIGINT", handle);
  return () => {
    process.off("SIGTERM", handle);
    process.off("SIGINT", handle);
  };
}
