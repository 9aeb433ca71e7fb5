/** The plain codec: one table look-up a byte. Every other codec is checked against it, and it runs where nothing else can. */
import { fieldSize, productTable } from "./gf256.ts";
import { linearCodec, type MatrixKernel } from "./linear-codec.ts";
import { element, type Matrix } from "./matrix.ts";
import type { ErasureCodec } from "./ports.ts";

/** into[i] (+)= factor · from[i]. */
function accumulate(into: Uint8Array, from: Uint8Array, factor: number, length: number, first: boolean): void {
  if (first && factor === 1) {
    into.set(from);
    return;
  }
  const row = productTable.subarray(factor * fieldSize, (factor + 1) * fieldSize);
  if (first) for (let i = 0; i < length; i++) into[i] = row[from[i] as number] as number;
  else for (let i = 0; i < length; i++) into[i] = (into[i] as number) ^ (row[from[i] as number] as number);
}

export const typescriptKernel: MatrixKernel = {
  description: "typescript",
  prepare: (matrix: Matrix) => ({
    run(sources, outputs, length) {
      for (let row = 0; row < matrix.rows; row++) {
        const into = outputs[row] as Uint8Array;
        for (let col = 0; col < matrix.cols; col++) {
          accumulate(into, sources[col] as Uint8Array, element(matrix, row, col), length, col === 0);
        }
      }
    },
  }),
};

export const typescriptCodec: ErasureCodec = linearCodec(typescriptKernel);
