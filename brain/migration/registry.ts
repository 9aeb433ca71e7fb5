/** What this brain knows of all migrations under way, from their journals: who is about what, and what has been promised. */
import type { MigrationSpec, MigrationStatus } from "@couchestor/common/crd/migration.ts";
import { held, openStep } from "./journal.ts";
import type { Steering } from "./movers/mover.ts";
import type { Others } from "./turn.ts";

export interface Known {
  name: string;
  createdAt: string;
  spec: MigrationSpec;
  status: MigrationStatus;
}

export class Registry {
  readonly #known = new Map<string, Known>();

  put(known: Known): void {
    if (known.status.phase === "Finished") this.#known.delete(known.name);
    else this.#known.set(known.name, known);
  }

  drop(name: string): void {
    this.#known.delete(name);
  }

  get size(): number {
    return this.#known.size;
  }

  /** What all others but this one are about. */
  others(mine: Known): Others {
    const reservedBytes = new Map<string, number>();
    const steering: Steering[] = [];
    let copying = 0;
    let sameVolume: string | undefined;
    for (const other of this.#known.values()) {
      if (other.name === mine.name) continue;
      if (other.spec.volumeUuid === mine.spec.volumeUuid && isAhead(other, mine)) sameVolume = other.name;
      steering.push(...held(other.status));
      const pool = fillingPool(other.status);
      if (pool === undefined) continue;
      copying += 1;
      if (pool !== "") reservedBytes.set(pool, (reservedBytes.get(pool) ?? 0) + other.spec.sizeBytes);
    }
    const nodes = steering.filter(({ kind }) => kind === "NodeCordon").map(({ target }) => target);
    return { sameVolume, copying, reservedBytes, steering, cordonedNodes: new Set(nodes) };
  }
}

/** Those at work come before those that wait, then the older. */
function isAhead(other: Known, mine: Known): boolean {
  const waits = (known: Known): number => (known.status.phase === "Pending" ? 1 : 0);
  const order = waits(other) - waits(mine);
  if (order !== 0) return order < 0;
  return other.createdAt === mine.createdAt ? other.name < mine.name : other.createdAt < mine.createdAt;
}

/** The pool on which a replica is being filled, empty while it isn't known which; undefined if none is. */
function fillingPool(status: MigrationStatus): string | undefined {
  const open = openStep(status);
  if (open?.name === "WaitForRebuild") return open.intent["pool"] ?? "";
  if (open?.name === "AddReplica" || open?.name === "SteerPlacement") return "";
  const last = status.steps.findLast(({ name }) => name === "AddReplica" || name === "WaitForRebuild");
  return last?.name === "AddReplica" && last.state === "Done" ? (last.observed?.["pool"] ?? "") : undefined;
}
