/** A code as eight bytes of a chunk's header: family, k (n), m (l), g, matrix id, field polynomial, two reserved. */
import { type Code, codeSchema, fieldPolynomial } from "@couchestor/common/code/code.ts";
import { corrupt, viewOf } from "./record-format.ts";

const family = { rs: 1, lrc: 2, replica: 3 } as const;

/** The eight bytes of `code` with that matrix and field polynomial. */
export function codeToBytes(code: Code, matrixId: number, polynomial: number): Uint8Array {
  switch (code.family) {
    case "rs":
      return Uint8Array.of(family.rs, code.k, code.m, 0, matrixId, polynomial, 0, 0);
    case "lrc":
      return Uint8Array.of(family.lrc, code.k, code.l, code.g, matrixId, polynomial, 0, 0);
    case "replica":
      return Uint8Array.of(family.replica, code.n, 0, 0, matrixId, polynomial, 0, 0);
  }
}

/** The last code read: chunks that come together are of one code. */
let last: { low: number; high: number; result: { code: Code; matrixId: number } } | undefined;

/** The code that the eight bytes at `offset` say; throws `ChunkCorrupt` naming the field. */
export function codeFromBytes(bytes: Uint8Array, offset: number): { code: Code; matrixId: number } {
  const view = viewOf(bytes);
  const low = view.getUint32(offset, true);
  const high = view.getUint32(offset + 4, true);
  if (last && last.low === low && last.high === high) return last.result;
  const result = parseCodeBytes(bytes.subarray(offset, offset + 8));
  last = { low, high, result };
  return result;
}

function parseCodeBytes(bytes: Uint8Array): { code: Code; matrixId: number } {
  const [kind = 0, first = 0, second = 0, third = 0, matrixId = 0, polynomial = 0, spareA = 0, spareB = 0] = bytes;
  if (polynomial !== fieldPolynomial) throw corrupt("field polynomial", polynomial, `${fieldPolynomial}`);
  if (spareA !== 0 || spareB !== 0) throw corrupt("reserved of code", `${spareA}, ${spareB}`, "0, 0");
  const unused = kind === family.rs ? third : kind === family.replica ? second | third : 0;
  if (unused !== 0) throw corrupt("code", [...bytes].join(","), "zeros where the family has no parameter");
  const raw =
    kind === family.rs
      ? { family: "rs", k: first, m: second }
      : kind === family.lrc
        ? { family: "lrc", k: first, l: second, g: third }
        : kind === family.replica
          ? { family: "replica", n: first }
          : undefined;
  const parsed = codeSchema.safeParse(raw);
  if (!parsed.success) throw corrupt("code", [...bytes].join(","), "a family of 1 … 3 with parameters in range");
  return { code: parsed.data, matrixId };
}
