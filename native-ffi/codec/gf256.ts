/** The field GF(2^8) with polynomial 0x11D and generator 2, by logarithm tables; addition is exclusive or. */

export const fieldSize = 256;
const polynomial = 0x11d;
const groupOrder = fieldSize - 1;

const exponentials = new Uint8Array(2 * groupOrder);
const logarithms = new Uint8Array(fieldSize);
for (let power = 0, value = 1; power < groupOrder; power++) {
  exponentials[power] = value;
  exponentials[power + groupOrder] = value;
  logarithms[value] = power;
  value = value & 0x80 ? (value << 1) ^ polynomial : value << 1;
}

const at = (table: Uint8Array, index: number): number => table[index] as number;

/** a · b. */
export function multiply(a: number, b: number): number {
  return a === 0 || b === 0 ? 0 : at(exponentials, at(logarithms, a) + at(logarithms, b));
}

/** 1 / a. Throws RangeError for 0, which has no inverse: a bug of the caller. */
export function inverse(a: number): number {
  if (a === 0) throw new RangeError("0 has no inverse in GF(2^8)");
  return at(exponentials, groupOrder - at(logarithms, a));
}

/** a to the power of `exponent`, a whole number ≥ 0; 0 to the power of 0 is 1. */
export function power(a: number, exponent: number): number {
  if (exponent === 0) return 1;
  return a === 0 ? 0 : at(exponentials, (at(logarithms, a) * exponent) % groupOrder);
}

/** All products: row c (256 bytes at c · 256) maps each byte to c times that byte. */
export const productTable: Uint8Array = (() => {
  const table = new Uint8Array(fieldSize * fieldSize);
  for (let a = 0; a < fieldSize; a++) {
    for (let b = 0; b < fieldSize; b++) table[a * fieldSize + b] = multiply(a, b);
  }
  return table;
})();
