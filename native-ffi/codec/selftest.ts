/** Whether the codec and checksum this process would use give the right bytes on this machine. */
import { blockBytes, formatCode } from "@couchestor/common/code/code.ts";
import { wasmCodec } from "../wasm/wasm-codec.ts";
import { typescriptChecksum } from "./crc32c.ts";
import { goldenChecksums, goldenData, goldenShardBytes, goldenStripe, goldenVectors } from "./golden.ts";
import type { Checksum, ErasureCodec } from "./ports.ts";
import { selectCodec } from "./select.ts";
import { typescriptCodec } from "./typescript-codec.ts";

export interface SelfTestResult {
  readonly ok: boolean;
  /** Descriptions of what was tested. */
  readonly codec: string;
  readonly checksum: string;
  /** For people: one line for each check, then the notes of the selection. */
  readonly lines: readonly string[];
}

const equal = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean =>
  a.length === b.length && a.every((bytes, i) => Buffer.compare(bytes, b[i] as Uint8Array) === 0);

/** Encodes the golden data and brings back the last shards that may be lost together. Returns what went wrong, if anything. */
function checkVector(codec: ErasureCodec, vector: (typeof goldenVectors)[number]): string | undefined {
  const stripe = goldenStripe(vector);
  const parity = vector.parity.map(() => new Uint8Array(goldenShardBytes));
  codec.encode(vector.code, goldenData(vector.code), parity);
  if (!equal(parity, vector.parity)) return "parity differs";
  for (let lost = 0; lost < stripe.length; lost++) {
    const present = new Map(stripe.map((shard, i) => [i, shard] as const).filter(([i]) => i !== lost));
    const into = [new Uint8Array(goldenShardBytes)];
    codec.reconstruct(vector.code, present, [lost], into);
    if (!equal(into, [stripe[lost] as Uint8Array])) return `shard ${lost} comes back different`;
  }
  return undefined;
}

function checkChecksum(checksum: Checksum): string | undefined {
  for (const { bytes, crc32c } of goldenChecksums) {
    const got = checksum.crc32c(bytes);
    if (got !== crc32c) return `${bytes.length} bytes: got ${got.toString(16)}, not ${crc32c.toString(16)}`;
  }
  const blocks = Uint8Array.from({ length: 3 * blockBytes }, (_, i) => (i * 31 + (i >> 8)) & 0xff);
  const got = new Uint32Array(3);
  const expected = new Uint32Array(3);
  checksum.crc32cBlocks(blocks, got);
  typescriptChecksum.crc32cBlocks(blocks, expected);
  return got.every((crc, i) => crc === expected[i]) ? undefined : "checksums of blocks differ from the plain ones";
}

/** What stands in where the fastest is missing; it is there in every program, so it is tested in every program. */
function fallbacks(): ErasureCodec[] {
  try {
    return [wasmCodec(), typescriptCodec];
  } catch {
    // No WebAssembly here: `selectCodec` has a note about it.
    return [typescriptCodec];
  }
}

/** Runs the golden vectors through the given codec and checksum, and through those that could take their place. */
export function checkCodecs(codec: ErasureCodec, checksum: Checksum): { ok: boolean; lines: string[] } {
  const lines: string[] = [];
  let ok = true;
  const report = (what: string, problem: string | undefined) => {
    lines.push(`${problem === undefined ? "ok" : "FAILED"}  ${what}${problem === undefined ? "" : `: ${problem}`}`);
    if (problem !== undefined) ok = false;
  };
  for (const tested of new Set([codec, ...fallbacks()])) {
    for (const vector of goldenVectors)
      report(`${tested.description}  ${formatCode(vector.code)}`, checkVector(tested, vector));
  }
  for (const tested of checksum === typescriptChecksum ? [checksum] : [checksum, typescriptChecksum]) {
    report(`${tested.description}  crc32c`, checkChecksum(tested));
  }
  return { ok, lines };
}

/** The self-test of what `selectCodec` picks here. Also run for the other architecture under an emulator when a release is built. */
export async function codecSelfTest(): Promise<SelfTestResult> {
  const { codec, checksum, notes } = await selectCodec();
  const { ok, lines } = checkCodecs(codec, checksum);
  return { ok, codec: codec.description, checksum: checksum.description, lines: [...lines, ...notes] };
}
