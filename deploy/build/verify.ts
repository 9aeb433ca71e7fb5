/**
 * Runs the compiled binaries: on this machine, under an emulator for arm64, on a read-only root without any library of ours or the
 * distribution's, and without native libraries at all. One line a check; what can't be checked here says why.
 *
 *     bun deploy/build/verify.ts
 */
import { existsSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { compile } from "./compile.ts";
import type { Arch } from "./runtime.ts";

const root = join(import.meta.dir, "../..");
const minimalRoot = join(root, "deploy/build/minimal-root");
const emulator = join(root, ".deps/qemu/bin/run-arm64");
const cannotExitCode = 125;

interface Outcome {
  exitCode: number;
  stdout: string;
  stderr: string;
}

class Skip extends Error {}

async function execute(command: readonly string[]): Promise<Outcome> {
  const child = Bun.spawn([...command], {
    cwd: root,
    stdin: "ignore",
    stdout: "pipe",
    stderr: "pipe",
    timeout: 120_000,
  });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  return { exitCode: await child.exited, stdout, stderr };
}

async function mustSucceed(command: readonly string[]): Promise<Outcome> {
  const outcome = await execute(command);
  if (command[0] === minimalRoot && outcome.exitCode === cannotExitCode) throw new Skip(outcome.stderr.trim());
  if (outcome.exitCode === 0) return outcome;
  throw new Error(`exit ${outcome.exitCode}: ${`${outcome.stdout}\n${outcome.stderr}`.trim().slice(-800)}`);
}

function expectText(outcome: Outcome, pattern: RegExp, what: string): void {
  const text = outcome.stdout + outcome.stderr;
  if (!pattern.test(text)) throw new Error(`${what}: nothing like ${pattern} in: ${text.trim().slice(-800)}`);
}

const binary = (arch: Arch) => join(root, `dist/couchestor-linux-${arch}`);

/** The command in front of a binary of `arch`; empty on that architecture itself. */
async function runner(arch: Arch): Promise<string[]> {
  if (process.arch === arch) return [];
  if (arch !== "arm64") throw new Skip(`this machine is ${process.arch}`);
  if (!existsSync(emulator)) await execute([join(root, "deploy/deps/fetch"), "qemu"]);
  if (!existsSync(emulator)) throw new Skip("qemu could not be fetched (deploy/deps/fetch qemu)");
  return [emulator];
}

const host: Arch = process.arch === "arm64" ? "arm64" : "x64";

const checks: Record<string, () => Promise<void>> = {
  ...Object.fromEntries(
    (["x64", "arm64"] as const).flatMap((arch) => [
      [
        `${arch}: version names the codec and its version`,
        async () => {
          const outcome = await mustSucceed([...(await runner(arch)), binary(arch), "version"]);
          expectText(outcome, /isa-?l\D{0,12}2\.(3[1-9]|[4-9]\d)/i, "version");
        },
      ],
      [
        `${arch}: codec self-test`,
        async () => void (await mustSucceed([...(await runner(arch)), binary(arch), "codec-selftest"])),
      ],
      [
        `${arch}: threads of their own start from inside the binary`,
        async () => void (await mustSucceed([...(await runner(arch)), binary(arch), "worker-selftest"])),
      ],
    ]),
  ),
  "read-only root with nothing but the C library: libraries come from memory": async () => {
    const outcome = await mustSucceed([minimalRoot, binary(host), "version"]);
    expectText(outcome, /isa-?l\D{0,12}2\.(3[1-9]|[4-9]\d)/i, "version");
    await mustSucceed([minimalRoot, binary(host), "codec-selftest"]);
  },
  "the demo, by the compiled binary alone": async () =>
    void (await mustSucceed([binary(host), "demo", "--size", "32MiB"])),
  "no native library anywhere: WebAssembly takes over and says so once": async () => {
    const file = join(root, `dist/couchestor-linux-${host}-without-libraries`);
    try {
      await compile({ arch: host, file, depsFolder: undefined, commit: "verify" });
      await mustSucceed([minimalRoot, file, "codec-selftest"]);
      const { stdout } = await mustSucceed([minimalRoot, file, "version"]);
      const notices = stdout.split("\n").filter((line) => line.includes("fell back to webassembly"));
      if (notices.length !== 1) throw new Error(`${notices.length} notices of the fallback in: ${stdout}`);
    } finally {
      await rm(file, { force: true });
    }
  },
};

async function main(): Promise<number> {
  const counts = { passed: 0, failed: 0, skipped: 0 };
  for (const [name, check] of Object.entries(checks)) {
    try {
      await check();
      counts.passed++;
      process.stdout.write(`passed: ${name}\n`);
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      counts[error instanceof Skip ? "skipped" : "failed"]++;
      process.stdout.write(`${error instanceof Skip ? "skipped" : "FAILED"}: ${name}: ${message}\n`);
    }
  }
  process.stdout.write(`verify: ${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped\n`);
  return counts.failed === 0 ? 0 : 1;
}

process.exitCode = await main();
