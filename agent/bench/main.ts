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

  couchestor bench ec.encode                       every line that begins so
  couchestor bench ec.encode.rs4+2.256KiB --json   one
`;

/**
 * Runs the sub-command. Returns the exit code: 0, 1 if a benchmark failed, 2 for wrong usage. `others` are benchmarks of parts that this
 * package knows nothing of.
 */
export async function runBench(
  argv: readonly string[],
  others: readonly (() => Promise<readonly Bench[]>)[] = [],
): Promise<number> {
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
  const all = [...(await collect()), ...(await Promise.all(others.map((load) => load()))).flat()];
  const wanted = matcher(options.positionals);
  const chosen = all.filter((bench) => bench.lines.some(wanted));
  if (chosen.length === 0) {
    const error = nothingCalled(options.positionals, all);
    process.stderr.write(`couchestor bench: ${error.message}\n`);
    return 2;
  }
  if (options.values.list) {
    const names = chosen.flatMap((bench) => bench.lines.filter(wanted));
    process.stdout.write(names.map((name) => `${name}\n`).join(""));
    return 0;
  }
  return runAll(chosen, wanted, options.values.json ? jsonLine : tableLine);
}

function parse(argv: readonly string[]) {
  return parseArgs({
    args: [...argv],
    allowPositionals: true,
    options: { json: { type: "boolean" }, list: { type: "boolean" }, help: { type: "boolean", short: "h" } },
  });
}

async function collect(): Promise<Bench[]> {
  const [ec, chunk, io, zoned, devices, cluster] = await Promise.all([
    import("./ec.ts"),
    import("./chunk.ts"),
    import("./io.ts"),
    import("./zoned.ts"),
    import("./devices.ts"),
    import("./cluster.ts"),
  ]);
  const ofTheAgent = [...chunk.chunkBenches, ...io.ioBenches, ...zoned.zonedBenches, ...devices.deviceBenches];
  return [...ec.ecBenches, ...ofTheAgent, ...cluster.clusterBenches];
}

/** Whether a line's name is, or starts with, one of `names`; a trailing `*` is allowed. No names: every line. */
export function matcher(names: readonly string[]): (line: string) => boolean {
  const prefixes = names.map((name) => name.replace(/\*+$/, ""));
  return (line) => prefixes.length === 0 || prefixes.some((prefix) => line.startsWith(prefix));
}

function nothingCalled(names: readonly string[], all: readonly Bench[]): AppError {
  const known = all.flatMap((bench) => bench.lines).join(", ");
  return new AppError("InvalidArgument", `no benchmark starts with ${names.join(" or ")}; there are: ${known}`);
}

/** One after the other, so that they do not disturb each other. A failed one is told and does not stop the rest. */
export async function runAll(
  benches: readonly Bench[],
  wanted: (line: string) => boolean,
  format: (line: BenchLine) => string,
): Promise<number> {
  let failed = 0;
  for (const bench of benches) {
    const names = bench.lines.filter(wanted).join(", ");
    const missing = await bench.missing?.();
    if (missing !== undefined) {
      process.stderr.write(`${names}: left out: ${missing}\n`);
      continue;
    }
    try {
      for (const line of await bench.run(wanted)) if (wanted(line.bench)) process.stdout.write(`${format(line)}\n`);
    } catch (error) {
      failed++;
      process.stderr.write(`${names}: failed: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
  return failed === 0 ? 0 : 1;
}

/** The line for machines. */
export function jsonLine(line: BenchLine): string {
  const { bench, ours, theirs, reference, unit, ratio } = line;
  // What is undefined is left out.
  return JSON.stringify({
    bench,
    ours: short(ours),
    theirs: theirs === undefined ? undefined : short(theirs),
    reference,
    unit,
    ratio: ratio === undefined ? undefined : short(ratio),
  });
}

/** The line for people. */
export function tableLine(line: BenchLine): string {
  const figures = `${line.bench.padEnd(36)} ${String(short(line.ours)).padStart(10)} ${line.unit.padEnd(8)}`;
  if (line.ratio === undefined || line.theirs === undefined) return figures.trimEnd();
  return `${figures} ${line.ratio.toFixed(2).padStart(6)} × ${line.reference} (${short(line.theirs)})`;
}

/** Four significant digits: more would be noise. */
function short(value: number): number {
  return Number(value.toPrecision(4));
}
