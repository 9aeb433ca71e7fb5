/**
 * `make lab`: runs every `*.lab.test.ts`, each file in a machine of its own, and sums up. Arguments are parts of paths; none is all.
 * A file says in a comment what it needs, if the standard machine is not it: `lab: machine=eight timeoutSeconds=300 memoryMiB=3072`.
 */
import { existsSync } from "node:fs";
import { appendFile, mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { Glob } from "bun";
import { machines } from "./machine.ts";
import { type JobResult, runJob } from "./vm.ts";

const root = join(import.meta.dir, "../..");
const lab = join(root, ".deps/lab");
const log = join(root, ".cache/lab.log");

interface Needs {
  machine: string;
  timeoutSeconds: number;
  memoryMiB: number;
}

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

/** What a test file asks for. Throws when it asks for what there is not, so that a typing error can't pass for a default. */
export function needsOf(text: string): Needs {
  const needs: Needs = { machine: "standard", timeoutSeconds: 900, memoryMiB: 2048 };
  const asked = /^[ */]*\blab: ((?:\w+=\w+ ?)+)/m.exec(text)?.[1]?.trim().split(" ") ?? [];
  for (const pair of asked) {
    const [key = "", value = ""] = pair.split("=");
    if (key === "machine" && machines[value] !== undefined) needs.machine = value;
    else if ((key === "timeoutSeconds" || key === "memoryMiB") && /^\d{1,5}$/.test(value)) needs[key] = Number(value);
    else throw new Error(`${pair}: allowed: machine=${Object.keys(machines).join("|")} timeoutSeconds=N memoryMiB=N`);
  }
  return needs;
}

/** What bun counted; a run that did not come to its count has failed. */
export function countsOf(output: string, exitCode: number | undefined): Counts {
  const count = (word: string) =>
    Number(
      output
        .match(new RegExp(`^ *(\\d+) ${word}$`, "gm"))
        ?.at(-1)
        ?.match(/\d+/)?.[0] ?? 0,
    );
  const counts = { passed: count("pass"), failed: count("fail"), skipped: count("skip") };
  if (exitCode !== 0 && counts.failed === 0) counts.failed = 1;
  if (exitCode === 0 && counts.passed + counts.skipped === 0) counts.failed = 1;
  return counts;
}

async function runFile(path: string): Promise<JobResult> {
  const needs = needsOf(await readFile(join(root, path), "utf8"));
  // The machine's end is the limit. The guest's clock may jump by minutes on a busy host, so that no test has one of its own.
  const limitMs = 24 * 3_600_000;
  return await runJob(
    {
      command: `node_modules/.bin/bun test --config=deploy/lab/bunfig.toml --timeout=${limitMs} ././${path} 2>&1`,
      folder: root,
      machine: machines[needs.machine] ?? { images: [], devices: [], diskCount: 0 },
      shares: [root],
      lab,
      timeoutMs: needs.timeoutSeconds * 1000,
      memoryMiB: needs.memoryMiB,
      cpus: Number(process.env["LAB_CPUS"] ?? 2),
      accelerator: process.env["LAB_ACCELERATOR"] ?? "tcg,thread=multi",
      keep: false,
    },
    systemClock,
  );
}

async function main(): Promise<number> {
  if (!existsSync(join(lab, "initrd.img"))) {
    console.error("lab: it is not there; make lab fetches it, or deploy/deps/fetch lab");
    return 1;
  }
  const wanted = process.argv.slice(2);
  const found = await Array.fromAsync(
    new Glob("{common,native-ffi,agent,brain,deploy}/**/*.lab.test.ts").scan({ cwd: root }),
  );
  const paths = found
    .filter(
      (path) => !path.includes("node_modules/") && (wanted.length === 0 || wanted.some((part) => path.includes(part))),
    )
    .sort();
  await mkdir(join(root, ".cache"), { recursive: true });
  await writeFile(log, "");
  const total: Counts = { passed: 0, failed: 0, skipped: 0 };
  const started = systemClock.monotonicMs();
  for (const path of paths) {
    const result = await runFile(path);
    const output = `${result.stdout}${result.stderr}`;
    const counts = countsOf(output, result.exitCode);
    await appendFile(log, `== ${path}\n${output}\n`);
    if (counts.failed > 0) console.log(output.split("\n").slice(-150).join("\n"));
    for (const line of output.split("\n").filter((text) => text.startsWith("(skip)")))
      console.log(`skipped: ${line.slice(7)}`);
    console.log(
      `${path}: ${counts.failed === 0 ? "passed" : "FAILED"} (${counts.passed} tests, ${result.seconds.toFixed(0)} s)`,
    );
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  }
  const seconds = ((systemClock.monotonicMs() - started) / 1000).toFixed(0);
  console.log(`${total.skipped} skipped, ${seconds} s, whole log: .cache/lab.log`);
  console.log(`lab: ${total.passed} passed, ${total.failed} failed`);
  return total.failed === 0 && total.passed > 0 ? 0 : 1;
}

if (import.meta.main) process.exitCode = await main();
