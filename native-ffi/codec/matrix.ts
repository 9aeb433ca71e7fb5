/** Matrices over GF(2^8), and the systematic Vandermonde matrix that klauspost/reedsolomon and the crate reed-solomon-erasure build. */
import { inverse, multiply, power } from "./gf256.ts";

/** `bytes[row * cols + col]`. Treated as immutable once built. */
export interface Matrix {
  readonly rows: number;
  readonly cols: number;
  readonly bytes: Uint8Array;
}

export function matrixOf(rows: number, cols: number, element: (row: number, col: number) => number): Matrix {
  const bytes = new Uint8Array(rows * cols);
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) bytes[row * cols + col] = element(row, col);
  }
  return { rows, cols, bytes };
}

export function element(matrix: Matrix, row: number, col: number): number {
  return matrix.bytes[row * matrix.cols + col] as number;
}

/** The rows of `matrix` with these indices, in this order. */
export function selectRows(matrix: Matrix, rows: readonly number[]): Matrix {
  return matrixOf(rows.length, matrix.cols, (row, col) => element(matrix, rows[row] as number, col));
}

/** a · b; `a.cols` must be `b.rows`. */
export function product(a: Matrix, b: Matrix): Matrix {
  return matrixOf(a.rows, b.cols, (row, col) => {
    let sum = 0;
    for (let i = 0; i < a.cols; i++) sum ^= multiply(element(a, row, i), element(b, i, col));
    return sum;
  });
}

function addMultiple(bytes: Uint8Array, cols: number, into: number, from: number, factor: number): void {
  if (factor === 0) return;
  for (let col = 0; col < cols; col++) {
    const i = into * cols + col;
    bytes[i] = (bytes[i] as number) ^ multiply(factor, bytes[from * cols + col] as number);
  }
}

function scaleRow(bytes: Uint8Array, cols: number, row: number, factor: number): void {
  for (let i = row * cols; i < (row + 1) * cols; i++) bytes[i] = multiply(factor, bytes[i] as number);
}

function swapRows(bytes: Uint8Array, cols: number, a: number, b: number): void {
  if (a === b) return;
  const copy = bytes.slice(a * cols, (a + 1) * cols);
  bytes.copyWithin(a * cols, b * cols, (b + 1) * cols);
  bytes.set(copy, b * cols);
}

/**
 * Brings `matrix` to reduced row echelon form over its first `pivotCols` columns.
 * Returns the reduced matrix and the column of each pivot; row i holds pivot i, and the number of pivots is the rank of those columns.
 */
export function reduce(matrix: Matrix, pivotCols: number = matrix.cols): { reduced: Matrix; pivots: number[] } {
  const { rows, cols } = matrix;
  const bytes = matrix.bytes.slice();
  const pivots: number[] = [];
  for (let col = 0; col < pivotCols && pivots.length < rows; col++) {
    const at = pivots.length;
    let found = at;
    while (found < rows && bytes[found * cols + col] === 0) found++;
    if (found === rows) continue;
    swapRows(bytes, cols, at, found);
    scaleRow(bytes, cols, at, inverse(bytes[at * cols + col] as number));
    for (let row = 0; row < rows; row++) {
      if (row !== at) addMultiple(bytes, cols, row, at, bytes[row * cols + col] as number);
    }
    pivots.push(col);
  }
  return { reduced: { rows, cols, bytes }, pivots };
}

/** The inverse of a square matrix, or undefined if it is singular. */
export function invert(matrix: Matrix): Matrix | undefined {
  const n = matrix.rows;
  const augmented = matrixOf(n, 2 * n, (row, col) => (col < n ? element(matrix, row, col) : col - n === row ? 1 : 0));
  const { reduced, pivots } = reduce(augmented, n);
  return pivots.length === n ? matrixOf(n, n, (row, col) => element(reduced, row, n + col)) : undefined;
}

/** Row r, column c is r to the power of c. Any `cols` of up to 256 rows are independent. */
export function vandermonde(rows: number, cols: number): Matrix {
  return matrixOf(rows, cols, (row, col) => power(row, col));
}

/** (k + m) × k: the identity above the m parity rows; vandermonde(k + m, k) times the inverse of its own top square. */
export function systematicVandermonde(k: number, m: number): Matrix {
  const raw = vandermonde(k + m, k);
  const top = invert(
    selectRows(
      raw,
      Array.from({ length: k }, (_, i) => i),
    ),
  );
  if (!top) throw new RangeError(`the top square of vandermonde(${k + m}, ${k}) is singular`);
  return product(raw, top);
}
