/** Which codec and checksum this process uses: the fastest that works here. */
import { loadIsal } from "../isal/isal.ts";
import { wasmCodec } from "../wasm/wasm-codec.ts";
import { typescriptChecksum } from "./crc32c.ts";
import type { Checksum, ErasureCodec } from "./ports.ts";
import { typescriptCodec } from "./typescript-codec.ts";

export interface SelectedCodec {
  readonly codec: ErasureCodec;
  readonly checksum: Checksum;
  /** One line for each thing the operator should know, such as why a faster codec was not used; to be logged once. */
  readonly notes: readonly string[];
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Picks ISA-L, else WebAssembly, else plain TypeScript. All give the same bytes. Never fails. */
export async function selectCodec(load: typeof loadIsal = loadIsal): Promise<SelectedCodec> {
  const notes: string[] = [];
  try {
    const { isal, notes: isalNotes } = load();
    if (isal) return { codec: isal.codec, checksum: isal.checksum, notes: isalNotes };
    notes.push(`fell back to webassembly, as ISA-L could not be used: ${isalNotes.join("; ")}`);
  } catch (error) {
    notes.push(`fell back to webassembly, as ISA-L could not be used: ${reason(error)}`);
  }
  try {
    return { codec: wasmCodec(), checksum: typescriptChecksum, notes };
  } catch (error) {
    notes.push(`fell back to typescript, as webassembly could not be used: ${reason(error)}`);
    return { codec: typescriptCodec, checksum: typescriptChecksum, notes };
  }
}
