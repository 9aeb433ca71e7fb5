/**
 * Boots a machine of the lab, lets it run one command, answers what its tests ask of the host, and gives back output and exit status.
 */
import { mkdir, mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { Glob } from "bun";
import { hostActions } from "./host-actions.ts";
import { type Machine, qemuArguments, shareTag } from "./machine.ts";
import { connectQmp } from "./qmp.ts";

export interface JobOptions {
  /** A shell command line of the guest. */
  command: string;
  /** Folder the command starts in; one of the shares or inside of it. */
  folder: string;
  machine: Machine;
  /** Folders of this machine that the guest sees read-only at the same place. */
  shares: readonly string[];
  /** The unpacked lab. */
  lab: string;
  timeoutMs: number;
  memoryMiB: number;
  cpus: number;
  accelerator: string;
  /** Whether the job's folder, with images and the kernel's log, stays. */
  keep: boolean;
}

export interface JobResult {
  /** Of the command; undefined when the guest did not finish. */
  exitCode: number | undefined;
  stdout: string;
  stderr: string;
  /** Seconds of guest time from power-on until the disks were there. */
  readySeconds: number;
  seconds: number;
  /** The job's folder, when it was kept. */
  job: string | undefined;
}

/** Runs one job in a machine of its own. */
export async function runJob(options: JobOptions, clock: Clock): Promise<JobResult> {
  const started = clock.monotonicMs();
  const job = await mkdtemp(join(tmpdir(), "couchestor-lab-"));
  try {
    await prepare(job, options);
    const qemu = await startQemu(job, options);
    const ended = await attend(qemu, job, options, clock);
    const result = await collect(job, ended);
    const seconds = (clock.monotonicMs() - started) / 1000;
    return { ...result, seconds, job: options.keep ? job : undefined };
  } finally {
    if (!options.keep) await rm(job, { recursive: true, force: true });
  }
}

async function prepare(job: string, options: JobOptions): Promise<void> {
  await mkdir(join(job, "requests"));
  await mkdir(join(job, "replies"));
  await writeFile(join(job, "stage2"), await Bun.file(join(import.meta.dir, "stage2")).text(), { mode: 0o755 });
  await writeFile(join(job, "command"), `${options.command}\n`);
  await writeFile(join(job, "folder"), `${options.folder}\n`);
  await writeFile(join(job, "disks"), `${options.machine.diskCount}\n`);
  await writeFile(join(job, "shares"), options.shares.map((path, n) => `${shareTag(n)}\t${path}\n`).join(""));
  for (const image of options.machine.images) {
    const path = join(job, `${image.name}.img`);
    await writeFile(path, "");
    await truncate(path, image.sizeBytes);
  }
}

/** QEMU runs with the lab's own C library, whatever this machine has. */
async function startQemu(job: string, options: JobOptions): Promise<Bun.Subprocess> {
  const usr = join(options.lab, "root/usr");
  const folders = await Array.fromAsync(
    new Glob("lib/**/*-linux-gnu*/").scan({ cwd: usr, onlyFiles: false, dot: false }),
  );
  const libraries = folders.map((folder) => join(usr, folder));
  const loader = join(usr, "lib64/ld-linux-x86-64.so.2");
  const modules = join(usr, "lib/x86_64-linux-gnu/qemu");
  return Bun.spawn(
    [
      loader,
      "--library-path",
      libraries.join(":"),
      join(usr, "bin/qemu-system-x86_64"),
      ...qemuArguments({ ...options, job }),
    ],
    {
      stdin: "ignore",
      stdout: "ignore",
      stderr: Bun.file(join(job, "qemu.err")),
      env: { ...process.env, QEMU_MODULE_DIR: modules },
    },
  );
}

/** Waits for the machine's end and answers its requests meanwhile. Says whether it ended in time. */
async function attend(qemu: Bun.Subprocess, job: string, options: JobOptions, clock: Clock): Promise<boolean> {
  let inTime = true;
  const cancel = clock.after(options.timeoutMs, () => {
    inTime = false;
    qemu.kill("SIGKILL");
  });
  const done = new AbortController();
  const requests = serveRequests(job, clock, done.signal).catch(() => undefined);
  await qemu.exited;
  cancel();
  done.abort();
  await requests;
  return inTime;
}

async function serveRequests(job: string, clock: Clock, signal: AbortSignal): Promise<void> {
  const qmp = await connectQmp(join(job, "qmp"), clock, 60_000);
  const actions = hostActions(qmp, job);
  try {
    while (!signal.aborted) {
      const names = (await readdir(join(job, "requests"))).filter((name) => name.endsWith(".json")).sort();
      for (const name of names) await answer(job, name, (request) => actions.run(request));
      await clock.sleep(20);
    }
  } finally {
    qmp.close();
  }
}

async function answer(job: string, name: string, run: (request: unknown) => Promise<void>): Promise<void> {
  const path = join(job, "requests", name);
  let reply: { error?: string } = {};
  try {
    await run(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    reply = { error: error instanceof Error ? error.message : String(error) };
  }
  await rm(path, { force: true });
  const target = join(job, "replies", name);
  await mkdir(dirname(target), { recursive: true });
  await writeFile(`${target}.tmp`, JSON.stringify(reply));
  await rename(`${target}.tmp`, target);
}

async function collect(job: string, inTime: boolean): Promise<Omit<JobResult, "seconds" | "job">> {
  const text = async (name: string) => readFile(join(job, name), "utf8").catch(() => "");
  const status = (await text("status")).trim();
  let stderr = await text("err");
  if (status === "") {
    const why = inTime ? "the guest ended without a status" : "the guest took too long and was ended";
    const console = (await text("console")).split("\n").slice(-20).join("\n");
    stderr += `${why}\n${console}\n${await text("qemu.err")}`;
  }
  const exitCode = status === "" ? undefined : Number(status);
  return { exitCode, stdout: await text("out"), stderr, readySeconds: Number((await text("ready")).trim()) };
}
