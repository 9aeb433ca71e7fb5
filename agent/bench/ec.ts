/**
 * Erasure coding and CRC32C: the codec as the agent calls it, through bun:ffi, against the same calls of the same library from C on the same
 * buffers, and against klauspost/reedsolomon on one goroutine. Gigabytes of data a second; each figure the median of interleaved runs.
 * Decoding brings back the first m data shards, the most work there is.
 */

import type { Code } from "@couchestor/common/code/code.ts";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { typescriptChecksum } from "@couchestor/native-ffi/codec/crc32c.ts";
import { parityRows } from "@couchestor/native-ffi/codec/generator.ts";
import type { Matrix } from "@couchestor/native-ffi/codec/matrix.ts";
import type { ErasureCodec } from "@couchestor/native-ffi/codec/ports.ts";
import { coefficientsFor, planRecovery } from "@couchestor/native-ffi/codec/recovery.ts";
import { AddressArray, addressOf, alignedBytes } from "@couchestor/native-ffi/core/memory.ts";
import { type Isal, loadIsal } from "@couchestor/native-ffi/isal/isal.ts";
import { wasmCodec } from "@couchestor/native-ffi/wasm/wasm-codec.ts";
import { type Bench, type BenchLine, type ComparedLine, geometricMean, median, moreIsBetter } from "./bench.ts";
import { type CLoops, GoPeer, missingC, missingGo, onOneCpu, openCLoops } from "./ec-peers.ts";

type Operation = "encode" | "decode";
type RsCode = Extract<Code, { family: "rs" }>;

const codes: readonly RsCode[] = [
  { family: "rs", k: 4, m: 2 },
  { family: "rs", k: 8, m: 3 },
  { family: "rs", k: 10, m: 4 },
];
const sizes: readonly [string, number][] = [
  ["64KiB", 64 * 1024],
  ["256KiB", 256 * 1024],
  ["1MiB", 1024 * 1024],
];
/** How long one run takes, and how many there are of each side. */
const runNs = 6e6;
const rounds = 15;

/** One side of a comparison: does the work so many times and says how many nanoseconds that took. */
type Side = (times: number) => number | Promise<number>;

function timed(work: () => void): Side {
  return (times) => {
    const start = Bun.nanoseconds();
    for (let i = 0; i < times; i++) work();
    return Bun.nanoseconds() - start;
  };
}

/** Runs the sides in turn, and gives each one's median nanoseconds for doing the work once. */
async function interleave(sides: readonly Side[]): Promise<number[]> {
  const times: number[] = [];
  for (const side of sides) {
    // Twice: the first may compile, fill caches or start a process.
    await side(3);
    times.push(Math.max(1, Math.round(runNs / ((await side(5)) / 5))));
  }
  const figures = sides.map(() => [] as number[]);
  for (let round = 0; round < rounds; round++) {
    for (const [i, side] of sides.entries()) figures[i]?.push((await side(times[i] as number)) / (times[i] as number));
  }
  return figures.map(median);
}

/** A stripe in memory, and what the codec is to do with it. */
class Work {
  readonly code: RsCode;
  readonly shardBytes: number;
  readonly dataBytes: number;
  readonly shards: Uint8Array[];
  readonly #lost: number[];
  readonly #present: Map<number, Uint8Array>;

  constructor(code: RsCode, shardBytes: number) {
    this.code = code;
    this.shardBytes = shardBytes;
    this.dataBytes = code.k * shardBytes;
    this.shards = Array.from({ length: code.k + code.m }, (_, i) => alignedBytes(shardBytes).fill(17 * i + 1));
    this.#lost = Array.from({ length: code.m }, (_, i) => i);
    this.#present = new Map(this.shards.map((shard, i) => [i, shard] as const).slice(code.m));
  }

  by(codec: ErasureCodec, operation: Operation): Side {
    const { code, shards } = this;
    const data = shards.slice(0, code.k);
    const parity = shards.slice(code.k);
    const into = shards.slice(0, code.m);
    codec.encode(code, data, parity);
    return operation === "encode"
      ? timed(() => codec.encode(code, data, parity))
      : timed(() => codec.reconstruct(code, this.#present, this.#lost, into));
  }

  /** The same in C: the same matrix, the same shards, the same library. */
  byC(isal: Isal, c: CLoops, operation: Operation): Side {
    const { code, shards } = this;
    const sources = operation === "encode" ? range(0, code.k) : this.#sources();
    const targets = operation === "encode" ? range(code.k, code.k + code.m) : this.#lost;
    const matrix = operation === "encode" ? parityRows(code) : (coefficientsFor(code, sources, targets) as Matrix);
    const tables = isal.initTables(matrix);
    const from = addresses(sources.map((shard) => shards[shard] as Uint8Array));
    const into = addresses(targets.map((shard) => shards[shard] as Uint8Array));
    return (times) =>
      Number(
        c.loop_encode(this.shardBytes, code.k, code.m, tables, from.address as never, into.address as never, times),
      );
  }

  byGo(go: GoPeer, operation: Operation): Side {
    return (times) => go.run(operation, this.code.k, this.code.m, this.shardBytes, times);
  }

  #sources(): number[] {
    return planRecovery(this.code, new Set(this.#present.keys()), this.#lost) as number[];
  }
}

const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i);

function addresses(buffers: readonly Uint8Array[]): AddressArray {
  const array = new AddressArray(buffers.length);
  for (const [i, buffer] of buffers.entries()) array.set(i, buffer);
  return array;
}

function requireIsal(): Isal {
  const { isal, notes } = loadIsal();
  if (!isal) throw new AppError("FailedPrecondition", `ISA-L could not be used: ${notes.join("; ")}`);
  return isal;
}

async function missingIsal(): Promise<string | undefined> {
  const { isal, notes } = loadIsal();
  return isal ? undefined : `ISA-L could not be used: ${notes.join("; ")}`;
}

const rsName = (code: RsCode): string => `rs${code.k}+${code.m}`;

/** The lines of a comparison on every code and size. */
function comparisonLines(name: string): string[] {
  const each = codes.flatMap((code) => sizes.map(([size]) => `${name}.${rsName(code)}.${size}`));
  return [...each, `${name}.geomean`];
}

/** Compares on every code and size that is wanted, and adds the geometric mean of the ratios, which wants all of them. */
async function compare(
  name: string,
  operation: Operation,
  reference: string,
  wanted: (line: string) => boolean,
  theirs: (work: Work) => Side,
): Promise<BenchLine[]> {
  const { codec } = requireIsal();
  const geomean = `${name}.geomean`;
  const lines: ComparedLine[] = [];
  for (const code of codes) {
    for (const [size, shardBytes] of sizes) {
      const bench = `${name}.${rsName(code)}.${size}`;
      if (!wanted(bench) && !wanted(geomean)) continue;
      const work = new Work(code, shardBytes);
      const [ours = 0, other = 0] = await interleave([work.by(codec, operation), theirs(work)]);
      const [a, b] = [work.dataBytes / ours, work.dataBytes / other];
      lines.push(moreIsBetter({ bench, ours: a, theirs: b, reference, unit: "GB/s" }));
    }
  }
  const mean = (pick: (line: ComparedLine) => number) => geometricMean(lines.map(pick));
  const figures = { ours: mean((l) => l.ours), theirs: mean((l) => l.theirs), ratio: mean((l) => l.ratio) };
  return [...lines, { bench: geomean, ...figures, reference, unit: "GB/s" }];
}

function againstC(operation: Operation): Bench {
  const name = `ec.${operation}`;
  return {
    lines: comparisonLines(name),
    missing: async () => (await missingC()) ?? (await missingIsal()),
    run: (wanted) =>
      onOneCpu(async () => {
        const isal = requireIsal();
        const c = openCLoops(isal.origin);
        const reference = `${isal.codec.description} from C`;
        return compare(name, operation, reference, wanted, (work) => work.byC(isal, c, operation));
      }),
  };
}

function againstGo(operation: Operation): Bench {
  const name = `ec.klauspost.${operation}`;
  return {
    lines: comparisonLines(name),
    missing: async () => (await missingGo()) ?? (await missingIsal()),
    run: (wanted) =>
      onOneCpu(async () => {
        const go = new GoPeer();
        try {
          return await compare(name, operation, "klauspost/reedsolomon", wanted, (work) => work.byGo(go, operation));
        } finally {
          await go.close();
        }
      }),
  };
}

function againstWebAssembly(code: RsCode, operation: Operation): Bench {
  const bench = `ec.webassembly.${operation}.${rsName(code)}.256KiB`;
  return {
    lines: [bench],
    missing: missingIsal,
    run: () =>
      onOneCpu(async () => {
        const { codec } = requireIsal();
        const work = new Work(code, 256 * 1024);
        const [ours = 0, other = 0] = await interleave([work.by(codec, operation), work.by(wasmCodec(), operation)]);
        const [a, b] = [work.dataBytes / ours, work.dataBytes / other];
        return [moreIsBetter({ bench, ours: a, theirs: b, reference: "webassembly codec", unit: "GB/s" })];
      }),
  };
}

function checksums(size: string, length: number): Bench {
  return {
    lines: ["whole", "blocks", "typescript"].map((what) => `ec.crc32c.${what}.${size}`),
    missing: async () => (await missingC()) ?? (await missingIsal()),
    run: () =>
      onOneCpu(async () => {
        const isal = requireIsal();
        const c = openCLoops(isal.origin);
        const bytes = alignedBytes(length).fill(3);
        const out = new Uint32Array(length / 4096);
        const sides = [
          timed(() => isal.checksum.crc32c(bytes)),
          (times: number) => Number(c.loop_crc(addressOf(bytes) as never, length, times)),
          timed(() => isal.checksum.crc32cBlocks(bytes, out)),
          timed(() => typescriptChecksum.crc32c(bytes)),
        ];
        const [ours = 0, fromC = 0, blocks = 0, plain = 0] = (await interleave(sides)).map((ns) => length / ns);
        const line = (what: string, figure: number, theirs: number, reference: string) =>
          moreIsBetter({ bench: `ec.crc32c.${what}.${size}`, ours: figure, theirs, reference, unit: "GB/s" });
        return [
          line("whole", ours, fromC, `${isal.checksum.description} from C`),
          line("blocks", blocks, fromC, `${isal.checksum.description} from C, in one piece`),
          line("typescript", ours, plain, "plain TypeScript"),
        ];
      }),
  };
}

const operations = ["encode", "decode"] as const;

export const ecBenches: readonly Bench[] = [
  ...operations.map(againstC),
  ...operations.map(againstGo),
  ...codes.flatMap((code) => operations.map((operation) => againstWebAssembly(code, operation))),
  checksums("4KiB", 4096),
  checksums("256KiB", 262_144),
];
