/** Which shards to read for a loss, and with which coefficients the lost ones follow from those. */
import { type Code, dataShards, shardCount } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { generatorMatrix } from "./generator.ts";
import { element, type Matrix, matrixOf, reduce, selectRows } from "./matrix.ts";
import type { RecoveryPlanner } from "./ports.ts";

/** Throws `InvalidArgument` for an index that is no shard of the code. */
export function checkShardIndices(code: Code, field: string, indices: Iterable<number>): void {
  const count = shardCount(code);
  for (const index of indices) {
    if (Number.isInteger(index) && index >= 0 && index < count) continue;
    throw new AppError(
      "InvalidArgument",
      `${field}: got shard ${index}; allowed: whole numbers from 0 to ${count - 1}`,
      {
        data: { field, got: index, max: count - 1 },
      },
    );
  }
}

/**
 * The matrix X (targets × sources) with X · G[sources] = G[targets], so that each target shard is that combination of the source shards.
 * Undefined if some target does not follow from the sources.
 */
export function coefficientsFor(
  code: Code,
  sources: readonly number[],
  targets: readonly number[],
): Matrix | undefined {
  const generator = generatorMatrix(code);
  const s = sources.length;
  const t = targets.length;
  // Columns are the unknowns of G[sources]^T · X^T = G[targets]^T.
  const system = matrixOf(generator.cols, s + t, (row, col) =>
    element(generator, (col < s ? sources[col] : targets[col - s]) as number, row),
  );
  const { reduced, pivots } = reduce(system, s);
  for (let row = pivots.length; row < reduced.rows; row++) {
    for (let col = s; col < s + t; col++) if (element(reduced, row, col) !== 0) return undefined;
  }
  return matrixOf(t, s, (target, source) => {
    const row = pivots.indexOf(source);
    return row < 0 ? 0 : element(reduced, row, s + target);
  });
}

/** The first rows, in the order given, that are independent of those before them. */
function independent(generator: Matrix, order: readonly number[]): number[] {
  const rows = selectRows(generator, order);
  const transposed = matrixOf(rows.cols, rows.rows, (row, col) => element(rows, col, row));
  return reduce(transposed).pivots.map((pivot) => order[pivot] as number);
}

const ascending = (numbers: Iterable<number>): number[] => [...new Set(numbers)].sort((a, b) => a - b);

/** The members of local group `group` of an LRC: its data shards and its local parity. */
function groupMembers(code: Extract<Code, { family: "lrc" }>, group: number): number[] {
  const size = code.k / code.l;
  return [...Array.from({ length: size }, (_, i) => group * size + i), code.k + group];
}

/** Reads that stay within local groups, or undefined if some lost shard has no intact group. */
function localPlan(
  code: Extract<Code, { family: "lrc" }>,
  available: ReadonlySet<number>,
  wanted: readonly number[],
): number[] | undefined {
  const size = code.k / code.l;
  const reads = new Set<number>();
  for (let group = 0; group < code.l; group++) {
    const members = groupMembers(code, group);
    const wantedHere = members.filter((shard) => wanted.includes(shard));
    const readable = members.filter((shard) => available.has(shard));
    if (wantedHere.length > size || wantedHere.some((shard) => !available.has(shard))) {
      if (readable.length < size) return undefined;
      for (const shard of readable.slice(0, size)) reads.add(shard);
    } else {
      for (const shard of wantedHere) reads.add(shard);
    }
  }
  for (const shard of wanted) {
    if (shard < code.k + code.l) continue;
    if (!available.has(shard)) return undefined;
    reads.add(shard);
  }
  return ascending(reads);
}

/** Reads that suffice whatever the family: a basis of what is readable, with everything taken away that the wanted ones do not need. */
function globalPlan(code: Code, available: ReadonlySet<number>, wanted: readonly number[]): number[] | undefined {
  const readable = ascending(available);
  const order = readable
    .filter((shard) => wanted.includes(shard))
    .concat(readable.filter((shard) => !wanted.includes(shard)));
  let reads = independent(generatorMatrix(code), order);
  if (!coefficientsFor(code, reads, wanted)) return undefined;
  for (const shard of [...reads].reverse()) {
    const without = reads.filter((read) => read !== shard);
    if (coefficientsFor(code, without, wanted)) reads = without;
  }
  return ascending(reads);
}

/**
 * The fewest shards to read: the wanted ones themselves where they can be read, one local group for one loss in it, k shards otherwise.
 * Undefined if the available ones do not suffice.
 */
export const planRecovery: RecoveryPlanner = (code, available, wanted) => {
  checkShardIndices(code, "available", available);
  checkShardIndices(code, "wanted", wanted);
  const distinct = ascending(wanted);
  if (code.family === "lrc") {
    const local = localPlan(code, available, distinct);
    if (local && local.length < dataShards(code)) return local;
    const global = globalPlan(code, available, distinct);
    return local && global && local.length <= global.length ? local : (global ?? local);
  }
  if (distinct.length <= dataShards(code) && distinct.every((shard) => available.has(shard))) return distinct;
  return globalPlan(code, available, distinct);
};
