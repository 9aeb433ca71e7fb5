/**
 * A standalone cluster as its users have it: processes of the same program, driven by its command line.
 */
import { existsSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { compiled } from "@couchestor/common/runtime/version.ts";
import { z } from "zod";

const readySecondsMax = 60;
const stopSecondsMax = 30;

/** The command line of this very program. */
export const program: readonly string[] = compiled
  ? [process.execPath]
  : [process.execPath, join(import.meta.dir, "../../couchestor.ts")];

const standaloneSchema = z.object({ agents: z.array(z.object({ pid: z.number().int().positive() })) });

export interface Cluster extends AsyncDisposable {
  /** A folder for the benchmark's own files, on the same file system as the pools. */
  readonly scratch: string;
  /** From the start of the process until all agents are online. */
  readonly readySeconds: number;
  /** Process ids of the agents. */
  agents(): number[];
  /** Runs a verb against it with `--json`; returns what it printed. Throws with its messages if it fails. */
  verb(...words: string[]): Promise<unknown>;
}

/** Starts a cluster in a new temporary folder, which goes when it is disposed of. */
export async function startCluster(agents: number): Promise<Cluster> {
  const folder = await mkdtemp(join(tmpdir(), "couchestor-bench-"));
  const dataDir = join(folder, "data");
  const startedMs = systemClock.monotonicMs();
  const child = Bun.spawn([...program, "standalone", "--data-dir", dataDir, "--agents", String(agents)], {
    stdin: "ignore",
    stdout: "ignore",
    stderr: Bun.file(join(folder, "standalone.log")),
  });
  const stop = async () => {
    child.kill("SIGTERM");
    const killed = systemClock.after(stopSecondsMax * 1000, () => child.kill("SIGKILL"));
    await child.exited;
    killed();
    await rm(folder, { recursive: true, force: true });
  };
  const verb = async (...words: string[]): Promise<unknown> =>
    JSON.parse(await capture([...program, ...words, "--json", "--data-dir", dataDir]));
  try {
    await untilReady(dataDir, () => child.exitCode);
  } catch (error) {
    const log = readFileSync(join(folder, "standalone.log"), "utf8").slice(-500);
    await stop();
    throw new AppError("Unavailable", `the cluster did not come up: ${log}`, { cause: error });
  }
  return {
    scratch: folder,
    readySeconds: (systemClock.monotonicMs() - startedMs) / 1000,
    agents: () => standaloneSchema.parse(readJson(join(dataDir, "standalone.json"))).agents.map(({ pid }) => pid),
    verb,
    [Symbol.asyncDispose]: stop,
  };
}

/** The file is written when all agents and their pools are online. */
async function untilReady(dataDir: string, exitCode: () => number | null): Promise<void> {
  const limitMs = systemClock.monotonicMs() + readySecondsMax * 1000;
  while (!existsSync(join(dataDir, "standalone.json"))) {
    if (exitCode() !== null) throw new AppError("Unavailable", `standalone ended with exit code ${exitCode()}`);
    if (systemClock.monotonicMs() > limitMs) throw new AppError("Timeout", `not ready after ${readySecondsMax} s`);
    await systemClock.sleep(5);
  }
}

/** Runs a program and returns what it printed. */
export async function capture(command: readonly string[]): Promise<string> {
  const child = Bun.spawn([...command], { stdin: "ignore", stdout: "pipe", stderr: "pipe" });
  const [stdout, stderr] = await Promise.all([new Response(child.stdout).text(), new Response(child.stderr).text()]);
  if ((await child.exited) === 0) return stdout;
  throw new AppError(
    "Internal",
    `${command.join(" ")}: exit ${child.exitCode}: ${(stderr || stdout).trim().slice(-500)}`,
  );
}

/** Resident memory of another process in bytes. */
export function residentBytesOf(pid: number): number {
  const kibibytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1];
  if (kibibytes === undefined) throw new AppError("NotFound", `process ${pid} has no memory figure`);
  return Number(kibibytes) * 1024;
}

function readJson(path: string): unknown {
  return JSON.parse(readFileSync(path, "utf8"));
}
