/**
 * Where the last acts of a run failed: the next one goes elsewhere for a while. A pool that heartbeats but can't be written, or a mover that can't do its
 * work, would otherwise be chosen for every attempt.
 */
import type { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";

/** What is named here is kept out of placement for as long as there is room elsewhere. */
export interface Avoided {
  pools: ReadonlySet<string>;
  nodes: ReadonlySet<string>;
  movers: ReadonlySet<string>;
}

interface Failures {
  attempts: number;
  /** `pool …`, `node …` or `mover …` → until when, monotonic. */
  until: Map<string, number>;
}

export const avoidMs = 300_000;
const runsMax = 10_000;
const namesPerRunMax = 64;

export class FailedTargets {
  readonly #clock: Clock;
  readonly #runs = new Map<string, Failures>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** An act of the run failed at `error`, which may name the pool and node that it could not write; if it does not, its mover is blamed. */
  note(runName: string, mover: string, error: AppError | undefined): void {
    const known = this.#runs.get(runName) ?? { attempts: 0, until: new Map() };
    known.attempts++;
    for (const name of blamed(mover, error)) known.until.set(name, this.#clock.monotonicMs() + avoidMs);
    while (known.until.size > namesPerRunMax) known.until.delete(known.until.keys().next().value ?? "");
    this.#runs.delete(runName);
    this.#runs.set(runName, known);
    if (this.#runs.size > runsMax) this.#runs.delete(this.#runs.keys().next().value ?? "");
  }

  /** An act of the run was committed. */
  forget(runName: string): void {
    this.#runs.delete(runName);
  }

  /** Acts of the run that failed since the last that was committed. */
  attempts(runName: string): number {
    return this.#runs.get(runName)?.attempts ?? 0;
  }

  avoided(runName: string): Avoided {
    const now = this.#clock.monotonicMs();
    const names = [...(this.#runs.get(runName)?.until ?? [])].filter(([, untilMs]) => untilMs > now);
    const those = (what: string): Set<string> =>
      new Set(names.flatMap(([name]) => (name.startsWith(what) ? [name.slice(what.length)] : [])));
    return { pools: those("pool "), nodes: those("node "), movers: those("mover ") };
  }
}

function blamed(mover: string, error: AppError | undefined): string[] {
  const { poolUuid, nodeName, code } = error?.data ?? {};
  if (typeof poolUuid !== "string") return [`mover ${mover}`];
  const unreached = code === "Unavailable" || code === "Timeout";
  return [`pool ${poolUuid}`, ...(unreached && typeof nodeName === "string" ? [`node ${nodeName}`] : [])];
}
