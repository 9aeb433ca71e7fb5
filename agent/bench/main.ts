/**
 * `couchestor bench [NAME…] [--json] [--list]`: runs the benchmarks whose names start with one of NAME (all without).
 */
import { parseArgs } from "node:util";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Bench, BenchLine } from "./bench.ts";

const usage = `Usage: couchestor bench [NAME…] [--json] [--list]

Runs every benchmark, or those whose names start with one of NAME.

  --json   one JSON object a line: {"bench", "ours", "theirs", "reference", "unit", "ratio"}
  --list   the names, without running anything
`;

/** Runs the sub-command. Returns the exit code: 0, 1 if a benchmark failed, 2 for wrong usage. */
export async function runBench(argv: readonly string[]): Promise<number> {
  let options: ReturnType<typeof parse>;
  try {
    options = parse(argv);
  } catch (error) {
    process.stderr.write(`couchestor bench: ${(error as Error).message}\n\n${usage}`);
    return 2;
  }
  if (options.values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const all = await collect();
  const chosen = choose(all, options.positionals);
  if (chosen.length === 0) {
    const error = nothingCalled(options.positionals, all);
    process.stderr.write(`couchestor bench: ${error.message}\n`);
    return 2;
  }
  if (options.values.list) {
    process.stdout.write(chosen.map((bench) => `${bench.name}\n`).join(""));
    return 0;
  }
  return runAll(chosen, options.values.json ? jsonLine : tableLine);
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { json: { type: "boolean" }, list: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
}

async function collect(): Promise<Bench[]> {
  const [ec, chunk, cluster] = await Promise.all([import("./ec.ts"), import("./chunk.ts"), import("./cluster.ts")]);
  return [...ec.ecBenches, ...chunk.chunkBenches, ...cluster.clusterBenches];
}

/** Those whose name is, or starts with, one of `names`; a trailing `*` is allowed. */
export function choose(all: readonly Bench[], names: readonly string[]): Bench[] {
  if (names.length === 0) return [...all];
  const prefixes = names.map((name) => name.replace(/\*+$/, ""));
  return all.filter((bench) => prefixes.some((prefix) => bench.name.startsWith(prefix)));
}

function nothingCalled(names: readonly string[], all: readonly Bench[]): AppError {
  const known = all.map((bench) => bench.name).join(", ");
  return new AppError("InvalidArgument", `no benchmark starts with ${names.join(" or ")}; there are: ${known}`);
}

/** One after the other, so that they do not disturb each other. A failed one is told and does not stop the rest. */
export async function runAll(benches: readonly Bench[], format: (line: BenchLine) => string): Promise<number> {
  let failed = 0;
  for (const bench of benches) {
    const missing = await bench.missing?.();
    if (missing !== undefined) {
      process.stderr.write(`${bench.name}: left out: ${missing}\n`);
      continue;
    }
    try {
      for (const line of await bench.run()) process.stdout.write(`${format(line)}\n`);
    } catch (error) {
      failed++;
      process.stderr.write(`${bench.name}: failed: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
  return failed === 0 ? 0 : 1;
}

/** The line for machines. */
export function jsonLine(line: BenchLine): string {
  const { bench, ours, theirs, reference, unit, ratio } = line;
  return JSON.stringify({ bench, ours: short(ours), theirs: short(theirs), reference, unit, ratio: short(ratio) });
}

/** The line for people. */
export function tableLine(line: BenchLine): string {
  const figures = `${String(short(line.ours)).padStart(10)} ${line.unit.padEnd(8)}`;
  return `${line.bench.padEnd(36)} ${figures} ${line.ratio.toFixed(2).padStart(6)} × ${line.reference} (${short(line.theirs)})`;
}

/** Four significant digits: more would be noise. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}
