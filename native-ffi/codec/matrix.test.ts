import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { inverse, multiply, power } from "./gf256.ts";
import { invert, matrixOf, product, systematicVandermonde, vandermonde } from "./matrix.ts";

const byte = fc.integer({ min: 0, max: 255 });

/** Shift and add: the definition, without tables. */
function slowMultiply(a: number, b: number): number {
  let sum = 0;
  for (let bit = 0, shifted = a; bit < 8; bit++) {
    if (b & (1 << bit)) sum ^= shifted;
    shifted = shifted & 0x80 ? ((shifted << 1) ^ 0x11d) & 0xff : shifted << 1;
  }
  return sum;
}

describe("GF(2^8)", () => {
  test("multiplies every pair as the polynomial 0x11D says", () => {
    for (let a = 0; a < 256; a++) for (let b = 0; b < 256; b++) expect(multiply(a, b)).toBe(slowMultiply(a, b));
  });
  test("has an inverse of everything but 0", () => {
    for (let a = 1; a < 256; a++) expect(multiply(a, inverse(a))).toBe(1);
    expect(() => inverse(0)).toThrow(RangeError);
  });
  test("powers are repeated products, and 0 to the 0 is 1", () => {
    fc.assert(
      fc.property(byte, fc.integer({ min: 0, max: 300 }), (a, n) => {
        let expected = 1;
        for (let i = 0; i < n; i++) expected = multiply(expected, a);
        return power(a, n) === expected;
      }),
    );
  });
});

describe("matrices", () => {
  test("4+2 has the parity rows that every library of this family has", () => {
    const matrix = systematicVandermonde(4, 2);
    expect([...matrix.bytes.subarray(0, 16)]).toEqual([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]);
    expect([...matrix.bytes.subarray(16)]).toEqual([0x1b, 0x1c, 0x12, 0x14, 0x1c, 0x1b, 0x14, 0x12]);
  });
  test("an inverse times its matrix is the identity", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 8 }), fc.infiniteStream(byte), (n, stream) => {
        const matrix = matrixOf(n, n, () => stream.next().value as number);
        const inverted = invert(matrix);
        if (!inverted) return true;
        const identity = matrixOf(n, n, (row, col) => (row === col ? 1 : 0));
        return Buffer.compare(product(inverted, matrix).bytes, identity.bytes) === 0;
      }),
    );
  });
  test("a singular matrix has no inverse", () => {
    expect(invert(matrixOf(3, 3, (row) => row + 1))).toBeUndefined();
  });
  test("the top of a Vandermonde matrix is invertible for every k there is", () => {
    for (let k = 1; k <= 32; k++) expect(systematicVandermonde(k, 16).rows).toBe(k + 16);
    expect([...vandermonde(3, 3).bytes]).toEqual([1, 0, 0, 1, 1, 1, 1, 2, 4]);
  });
});
