/**
 * Whether the shards that are left determine the data, by the rank of their equations over GF(2^8) (polynomial 0x11D). The brain never touches
 * data; it needs this because counting does not tell for a locally repairable code. The matrix is the agents': the systematic Vandermonde
 * matrix, whose parity row x holds, for each data shard j, the Lagrange polynomial of j at x; lrc(k,l,g) is the pyramid over k + (g + 1) of it.
 */
import { type Code, dataShards, shardCount } from "@couchestor/common/code/code.ts";

const exponentials = new Uint8Array(510);
const logarithms = new Uint8Array(256);
for (let exponent = 0, value = 1; exponent < 255; exponent++) {
  exponentials[exponent] = value;
  exponentials[exponent + 255] = value;
  logarithms[value] = exponent;
  value = value & 0x80 ? (value << 1) ^ 0x11d : value << 1;
}

function times(a: number, b: number): number {
  if (a === 0 || b === 0) return 0;
  return exponentials[(logarithms[a] ?? 0) + (logarithms[b] ?? 0)] ?? 0;
}

/** a / b; b is not 0. */
function over(a: number, b: number): number {
  return a === 0 ? 0 : (exponentials[(logarithms[a] ?? 0) + 255 - (logarithms[b] ?? 0)] ?? 0);
}

/** The coefficient of data shard `column` in parity row `row` (0 the first) of the systematic Vandermonde matrix of `k`. */
export function parityCoefficient(k: number, row: number, column: number): number {
  let value = 1;
  for (let other = 0; other < k; other++) {
    if (other !== column) value = over(times(value, (k + row) ^ other), column ^ other);
  }
  return value;
}

function coefficient(code: Code, shard: number, column: number): number {
  const row = shard - dataShards(code);
  if (code.family === "replica") return 1;
  if (code.family === "rs") return parityCoefficient(code.k, row, column);
  if (row >= code.l) return parityCoefficient(code.k, row - code.l + 1, column);
  return Math.floor(column / (code.k / code.l)) === row ? parityCoefficient(code.k, 0, column) : 0;
}

/** How many more shards must come back, at best, before the data can be decoded; 0 when it can. `lost` holds shard indexes. */
export function shardsShort(code: Code, lost: ReadonlySet<number>): number {
  const k = dataShards(code);
  const unknown: number[] = [];
  for (let shard = 0; shard < k; shard++) if (lost.has(shard)) unknown.push(shard);
  if (code.family !== "lrc") return Math.max(0, k - (shardCount(code) - lost.size));
  const equations: Uint8Array[] = [];
  for (let shard = k; shard < shardCount(code); shard++) {
    if (!lost.has(shard)) equations.push(Uint8Array.from(unknown, (column) => coefficient(code, shard, column)));
  }
  return unknown.length - rank(equations, unknown.length);
}

/** Gaussian elimination; changes `rows`. */
function rank(rows: Uint8Array[], columns: number): number {
  let found = 0;
  for (let column = 0; column < columns && found < rows.length; column++) {
    const pivotAt = rows.findIndex((row, i) => i >= found && row[column] !== 0);
    const pivot = rows[pivotAt];
    if (!pivot) continue;
    rows[pivotAt] = rows[found] as Uint8Array;
    rows[found++] = pivot;
    for (const row of rows.slice(found)) {
      const factor = over(row[column] ?? 0, pivot[column] ?? 1);
      for (let i = column; i < columns; i++) row[i] = (row[i] ?? 0) ^ times(factor, pivot[i] ?? 0);
    }
  }
  return found;
}
