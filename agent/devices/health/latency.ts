/**
 * Disks that have become slow without failing: each is held against the others of its kind in the same node and the same time, since load alone makes all
 * of them slow together (the idea of IASO, USENIX ATC 2019). Pure.
 */

export interface LatencySample {
  readonly id: string;
  /** Devices are compared with those of their class only: `flash`, `rotating`. */
  readonly rotational: boolean;
  readonly operations: number;
  /** Mean time of an operation in the interval; undefined without operations. */
  readonly meanMs: number | undefined;
}

/** Fewer operations in an interval say nothing. */
const operationsMin = 20;
/** The others of its class that must have been busy too. */
const peersMin = 2;
const timesMedian = 8;
/** Below this nothing is slow, whatever the others do. */
const floorMs = { flash: 20, rotating: 150 } as const;
/** Above this a device is slow, whatever the others do. */
const ceilingMs = { flash: 1_000, rotating: 3_000 } as const;

/** Those that were slow in this interval, with the reason; what is not in it was not, and `idle` says of which nothing is known. */
export function slowDevices(samples: readonly LatencySample[]): { slow: Map<string, string>; idle: Set<string> } {
  const slow = new Map<string, string>();
  const idle = new Set<string>();
  for (const { id, rotational, operations, meanMs } of samples) {
    if (meanMs === undefined || operations < operationsMin) {
      idle.add(id);
      continue;
    }
    const kind = rotational ? "rotating" : "flash";
    const peers = samples
      .filter((other) => other.id !== id && other.rotational === rotational && other.operations >= operationsMin)
      .flatMap((other) => (other.meanMs === undefined ? [] : [other.meanMs]));
    const usual = median(peers);
    if (meanMs >= ceilingMs[kind]) slow.set(id, `an operation takes ${Math.round(meanMs)} ms`);
    else if (
      peers.length >= peersMin &&
      usual !== undefined &&
      meanMs >= floorMs[kind] &&
      meanMs >= timesMedian * usual
    )
      slow.set(id, `an operation takes ${Math.round(meanMs)} ms, with the other disks ${usual.toFixed(1)} ms`);
  }
  return { slow, idle };
}

function median(values: readonly number[]): number | undefined {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2 === 1
    ? sorted[middle]
    : ((sorted[middle - 1] ?? 0) + (sorted[middle] ?? 0)) / 2 || undefined;
}

const windowIntervals = 90;
const wearingOf = { recent: 12, slowMin: 8 } as const;
const failingSlowMin = 81;

/** The last busy intervals of one device: slow in most of the last few is wearing, slow in nearly all of a long time is failing. */
export class SlownessWatch {
  #intervals: boolean[] = [];

  note(isSlow: boolean): void {
    this.#intervals.push(isSlow);
    if (this.#intervals.length > windowIntervals) this.#intervals.shift();
  }

  get level(): "wearing" | "failing" | undefined {
    const slow = (intervals: readonly boolean[]): number => intervals.filter(Boolean).length;
    if (slow(this.#intervals) >= failingSlowMin) return "failing";
    return slow(this.#intervals.slice(-wearingOf.recent)) >= wearingOf.slowMin ? "wearing" : undefined;
  }
}
