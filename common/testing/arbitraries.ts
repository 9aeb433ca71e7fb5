/** Shared generators for property tests. */
import fc from "fast-check";

/** Numbers of bytes, small ones and those near powers of two more often. */
export const byteCounts: fc.Arbitrary<number> = fc.oneof(
  fc.nat({ max: 8192 }),
  fc
    .tuple(fc.nat({ max: 52 }), fc.integer({ min: -2, max: 2 }))
    .map(([power, offset]) => Math.max(0, 2 ** power + offset)),
  fc.nat({ max: Number.MAX_SAFE_INTEGER }),
);

/** JSON-like values of any shape, as a hostile peer may send. */
export const hostileValues: fc.Arbitrary<unknown> = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(undefined, Number.NaN, Number.POSITIVE_INFINITY, -1, "", "\u0000", "__proto__"),
);
