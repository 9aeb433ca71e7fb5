/**
 * What a benchmark is. Each compares our own figure with a reference taken in the same run on the same machine.
 */

export interface BenchLine {
  /** `ec.encode.rs4+2.256KiB` */
  bench: string;
  ours: number;
  /** The reference's figure, in the same unit; absent where there is nothing to compare with. */
  theirs?: number;
  /** What `theirs` is: the program that was run beside ours. */
  reference?: string;
  unit: string;
  /** How much better than the reference: ours/theirs where more is better, theirs/ours where less is. 1 is par. */
  ratio?: number;
}

/** A line with a reference. */
export type ComparedLine = Required<BenchLine>;

export interface Bench {
  /** Every line it can print. Names begin with the group: `ec.`, `chunk.`, `cluster.`. */
  lines: readonly string[];
  /** Runs it and returns its lines, at least those that are `wanted`. Throws if the figure can't be taken here. */
  run(wanted: (line: string) => boolean): Promise<BenchLine[]>;
  /** Why it can't be run on this machine (a program that isn't here), or undefined if it can. */
  missing?(): Promise<string | undefined>;
}

/** The middle of some figures, which one disturbed run does not move. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  const [low, high] = [sorted[(sorted.length - 1) >> 1] ?? Number.NaN, sorted[middle] ?? Number.NaN];
  return (low + high) / 2;
}

/** The geometric mean, which treats twice as fast and half as fast alike. */
export function geometricMean(values: readonly number[]): number {
  return Math.exp(values.reduce((sum, value) => sum + Math.log(value), 0) / values.length);
}

/** A line where more is better. */
export function moreIsBetter(line: Omit<ComparedLine, "ratio">): ComparedLine {
  return { ...line, ratio: line.ours / line.theirs };
}

/** A line where less is better: times, sizes. */
export function lessIsBetter(line: Omit<ComparedLine, "ratio">): ComparedLine {
  return { ...line, ratio: line.theirs / line.ours };
}
