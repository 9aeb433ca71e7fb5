/**
 * CRC32C of two texts behind each other, from the CRCs of each and the length of the second: appending n zero bytes is a linear map on the 32 bits of
 * a CRC, so it is a matrix over GF(2), and n of them its n-th power.
 */

/** CRC32C's polynomial, reflected. */
const polynomial = 0x82f63b78;

type BitMatrix = Uint32Array<ArrayBuffer>;

function times(matrix: BitMatrix, vector: number): number {
  let sum = 0;
  for (let bit = 0, rest = vector; rest !== 0; bit++, rest >>>= 1) if (rest & 1) sum ^= matrix[bit] as number;
  return sum >>> 0;
}

function multiply(left: BitMatrix, right: BitMatrix): BitMatrix {
  return right.map((column) => times(left, column));
}

/** The map that one zero bit appended makes. */
function oneZeroBit(): BitMatrix {
  const matrix = new Uint32Array(32);
  matrix[0] = polynomial;
  for (let bit = 1; bit < 32; bit++) matrix[bit] = (1 << (bit - 1)) >>> 0;
  return matrix;
}

/** The map that `bytes` zero bytes appended make; keep it for many of the same length. */
export function zeroBytesOperator(bytes: number): BitMatrix {
  let power = oneZeroBit();
  let result = Uint32Array.from({ length: 32 }, (_, bit) => (1 << bit) >>> 0);
  for (let bits = bytes * 8; bits > 0; bits = Math.floor(bits / 2)) {
    if (bits % 2 === 1) result = multiply(power, result);
    power = multiply(power, power);
  }
  return result;
}

/** CRC32C of A followed by B. `operator` is `zeroBytesOperator(length of B)`. */
export function combineCrc32c(crcA: number, crcB: number, operator: BitMatrix): number {
  return (times(operator, crcA) ^ crcB) >>> 0;
}
