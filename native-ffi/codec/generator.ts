/** The generator matrix of every code: row i says how shard i follows from the data shards. */
import { type Code, formatCode, shardCount } from "@couchestor/common/code/code.ts";
import { element, type Matrix, matrixOf, selectRows, systematicVandermonde } from "./matrix.ts";

/**
 * lrc(k, l, g) as a pyramid code (Huang, Chen, Li 2007): rs(k, g + 1) whose first parity row is split into l rows, each over one group of
 * k / l data shards. The l pieces add up to the row they came from, so any g + 1 losses can be decoded, and one loss in a group needs only
 * that group. Order: k data, l local, g global.
 */
function pyramid(k: number, l: number, g: number): Matrix {
  const whole = systematicVandermonde(k, g + 1);
  const groupSize = k / l;
  return matrixOf(k + l + g, k, (row, col) => {
    if (row < k) return element(whole, row, col);
    if (row < k + l) return Math.floor(col / groupSize) === row - k ? element(whole, k, col) : 0;
    return element(whole, row - l + 1, col);
  });
}

function build(code: Code): Matrix {
  switch (code.family) {
    case "rs":
      return systematicVandermonde(code.k, code.m);
    case "lrc":
      return pyramid(code.k, code.l, code.g);
    case "replica":
      return matrixOf(code.n, 1, () => 1);
  }
}

const built = new Map<string, Matrix>();
/** There are at most 32 · 16 · 17 codes; a cluster uses a few. */
const builtMax = 256;

/** The generator of `code`, shardCount × dataShards. The same object for equal codes while it stays cached. */
export function generatorMatrix(code: Code): Matrix {
  const key = formatCode(code);
  const known = built.get(key);
  if (known) return known;
  const matrix = build(code);
  if (built.size >= builtMax) built.delete(built.keys().next().value as string);
  built.set(key, matrix);
  return matrix;
}

/** The rows of the generator that make the parity (or the copies) from the data. */
export function parityRows(code: Code): Matrix {
  const generator = generatorMatrix(code);
  const count = shardCount(code) - generator.cols;
  return selectRows(
    generator,
    Array.from({ length: count }, (_, i) => generator.cols + i),
  );
}
