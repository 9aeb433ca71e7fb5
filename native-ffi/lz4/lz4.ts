/** Which LZ4 this process uses: liblz4, else WebAssembly. Each reads the other's blocks. */
import type { Lz4 } from "./block.ts";
import { loadNativeLz4 } from "./native-lz4.ts";
import { loadWasmLz4 } from "./wasm-lz4.ts";

/** `notes`: one line for each thing the operator should know; to be logged once. */
export function selectLz4(): { lz4: Lz4; notes: readonly string[] } {
  const { lz4, notes } = loadNativeLz4();
  if (lz4) return { lz4, notes };
  return {
    lz4: loadWasmLz4(),
    notes: [`fell back to webassembly for LZ4, as liblz4 could not be used: ${notes.join("; ")}`],
  };
}
