/**
 * For how long what was read of a volume has been the same. The control plane answers from a cache, goes on with requests after it has
 * stopped waiting for them, and shows no lock: only equal reads over more than its cache's age and its own deadlines say what came of a call.
 */
import type { VolumeView } from "./view.ts";

/** What was read: the volume, or that there is none. */
export type Seen = VolumeView | "absent";

export interface Settle {
  /** Equal reads of how many replicas there are to be, which there are and where: for this long, this many. */
  shapeMs: number;
  shapeReads: number;
  /** The same for these and for how all of them are. */
  healthMs: number;
  healthReads: number;
  /** The same for how many replicas there are to be, alone. */
  countMs: number;
  countReads: number;
}

/** Counts for one volume. Only the time between two reads that follow each other and succeed counts. */
export class SettleTracker {
  #shape = new Stretch();
  #health = new Stretch();
  #count = new Stretch();
  #lastMs: number | undefined;

  /** A read has succeeded. `nowMs` is monotonic: when it was sent. */
  observe(seen: Seen, nowMs: number): Settle {
    const sinceMs = this.#lastMs === undefined ? undefined : Math.max(0, nowMs - this.#lastMs);
    this.#lastMs = nowMs;
    this.#shape.add(shapeOf(seen), sinceMs);
    this.#health.add(healthOf(seen), sinceMs);
    this.#count.add(seen === "absent" ? seen : `${seen.specStatus} ${seen.count}`, sinceMs);
    return {
      shapeMs: this.#shape.ms,
      shapeReads: this.#shape.reads,
      healthMs: this.#health.ms,
      healthReads: this.#health.reads,
      countMs: this.#count.ms,
      countReads: this.#count.reads,
    };
  }

  /** A read has failed: what happened around it isn't known, and that time doesn't count. */
  missed(): void {
    this.#lastMs = undefined;
  }

  /** Something was asked for: what was read before says nothing any more. */
  reset(): void {
    this.#lastMs = undefined;
    this.#shape = new Stretch();
    this.#health = new Stretch();
    this.#count = new Stretch();
  }
}

class Stretch {
  ms = 0;
  reads = 0;
  #text: string | undefined;

  add(text: string, sinceMs: number | undefined): void {
    if (text !== this.#text) {
      this.#text = text;
      this.ms = 0;
      this.reads = 1;
      return;
    }
    this.ms += sinceMs ?? 0;
    this.reads += 1;
  }
}

function shapeOf(seen: Seen): string {
  if (seen === "absent") return "absent";
  const replicas = seen.replicas.map(({ uuid, pool }) => `${uuid}@${pool ?? "?"}`).join();
  return `${seen.specStatus} ${seen.count} ${seen.operation ?? "-"} ${seen.sizeBytes} ${replicas}`;
}

function healthOf(seen: Seen): string {
  if (seen === "absent") return "absent";
  const { target, status, publishedOn } = seen;
  const replicas = seen.replicas.map(
    (r) => `${r.state} ${r.child ?? "-"} ${r.healthy ?? "-"} ${r.rebuildPercent === undefined ? "" : "rebuilding"}`,
  );
  const children = (target?.children ?? []).map((child) => `${child.state} ${child.rebuilding}`);
  const nexus = target === undefined ? "-" : `${target.uuid} ${target.node} ${target.state}`;
  return [shapeOf(seen), status, publishedOn ?? "-", nexus, ...replicas, ...children].join("|");
}
