/**
 * One placement and one removal at a time in the whole cluster, since what is set for one decides for others too. Who has a lock follows from
 * the journals; whoever has waited longest is next.
 */
import type { MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { held, openStep } from "./journal.ts";
import { moverOf } from "./movers/choose.ts";
import type { LockKind } from "./movers/mover.ts";
import type { Observation } from "./turn.ts";

const kinds = ["placement", "removal"] as const satisfies readonly LockKind[];

/** The locks that a migration has by its journal: from the setting of the first thing until the last has been taken back. */
export function locksOf(status: MigrationStatus): readonly LockKind[] {
  const open = openStep(status)?.name;
  const steps = ["SteerPlacement", "AddReplica", "SteerRemoval", "RemoveReplica", "ReleaseSteering"];
  if (held(status).length === 0 && (open === undefined || !steps.includes(open))) return [];
  const last = status.steps.findLast(({ name }) => name === "SteerPlacement" || name === "SteerRemoval");
  const mover = moverOf(status.baseline?.mover ?? "PoolCordon");
  return mover.locks(last?.name === "SteerRemoval" ? "removal" : "placement");
}

export class StepLocks {
  readonly #holders = new Map<LockKind, string>();
  /** When each last said that it waits, and since when it does. */
  readonly #waiting = new Map<LockKind, Map<string, { sinceMs: number; saidMs: number }>>();
  readonly #forgetMs: number;

  /** Whoever has not said for `forgetMs` that it waits, waits no more. */
  constructor(forgetMs: number) {
    this.#forgetMs = forgetMs;
  }

  standing(name: string, nowMs: number): Observation["locks"] {
    const state = (kind: LockKind) => {
      const holder = this.#holders.get(kind) ?? this.#first(kind, nowMs);
      if (holder === undefined) return "free" as const;
      return holder === name ? ("mine" as const) : { holder };
    };
    return { placement: state("placement"), removal: state("removal") };
  }

  /** All of them or none. */
  take(name: string, wanted: readonly LockKind[]): boolean {
    if (wanted.some((kind) => (this.#holders.get(kind) ?? name) !== name)) return false;
    for (const kind of wanted) {
      this.#holders.set(kind, name);
      this.#waiting.get(kind)?.delete(name);
    }
    return true;
  }

  /** It has those and no others. Returns who may go on now. */
  settle(name: string, has: readonly LockKind[]): string[] {
    const woken: string[] = [];
    for (const kind of kinds) {
      if (has.includes(kind) || this.#holders.get(kind) !== name) continue;
      this.#holders.delete(kind);
      const [next] = this.#waiting.get(kind)?.keys() ?? [];
      if (next !== undefined) woken.push(next);
    }
    return woken;
  }

  /** It waits for these, and for nothing else. */
  wait(name: string, wanted: readonly LockKind[], nowMs: number): void {
    for (const kind of kinds) {
      const line = this.#waiting.get(kind) ?? new Map<string, { sinceMs: number; saidMs: number }>();
      this.#waiting.set(kind, line);
      if (!wanted.includes(kind)) line.delete(name);
      else line.set(name, { sinceMs: line.get(name)?.sinceMs ?? nowMs, saidMs: nowMs });
    }
  }

  /** Whoever has waited longest, of those that still wait. */
  #first(kind: LockKind, nowMs: number): string | undefined {
    for (const [name, { saidMs }] of this.#waiting.get(kind) ?? []) {
      if (nowMs - saidMs <= this.#forgetMs) return name;
      this.#waiting.get(kind)?.delete(name);
    }
    return undefined;
  }
}
