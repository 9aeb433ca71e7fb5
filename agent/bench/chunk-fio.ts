/** fio beside the chunk store: the same bytes, in as many requests at a time and with as many to a sync, on the same file system. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { z } from "zod";

export interface FioJob {
  folder: string;
  /** The length of one request: a chunk's record, header and checksums included. */
  recordBytes: number;
  records: number;
  depth: number;
}

const side = z.object({ io_bytes: z.number(), runtime: z.number() });
const reportSchema = z.object({ jobs: z.array(z.object({ read: side, write: side })).min(1) });

/** Why fio can't be compared with here, or undefined. */
export async function missingFio(): Promise<string | undefined> {
  return Bun.which("fio") ? undefined : "there is no fio";
}

/** Appends the records to a new file with a sync after every `recordsPerSync`. Returns records a second. */
export function fioWrite(job: FioJob, recordsPerSync: number): number {
  const args = ["--rw=write", "--ioengine=libaio", `--iodepth=${job.depth}`, `--fdatasync=${recordsPerSync}`];
  const [report] = runFio([...args, ...common(job), "--fallocate=none", "--end_fsync=1", "--unlink=0"]);
  return rate(report?.write, job);
}

/** Reads every record once, at random, past the page cache of before, `depth` at a time. Returns records a second. */
export function fioRead(job: FioJob): number {
  const each = Math.floor(job.records / job.depth) * job.recordBytes;
  const args = ["--rw=randread", "--ioengine=psync", "--thread", `--numjobs=${job.depth}`, "--group_reporting"];
  const [report] = runFio([...args, ...common(job), `--size=${each}`, `--offset_increment=${each}`, "--invalidate=1"]);
  return rate(report?.read, job);
}

function common(job: FioJob): string[] {
  return [
    "--name=couchestor",
    "--output-format=json",
    `--filename=${job.folder}/fio.data`,
    `--bs=${job.recordBytes}`,
    `--size=${job.records * job.recordBytes}`,
  ];
}

function rate(done: z.infer<typeof side> | undefined, job: FioJob): number {
  if (!done || done.runtime === 0) throw new AppError("Internal", "fio reported no work");
  return done.io_bytes / job.recordBytes / (done.runtime / 1000);
}

/** Runs fio with these arguments, `--output-format=json` among them. Throws with its words if it fails. */
export function runFio(args: readonly string[]): z.infer<typeof reportSchema>["jobs"] {
  const { exitCode, stdout, stderr } = Bun.spawnSync(["fio", ...args]);
  if (exitCode !== 0) throw new AppError("Internal", `fio failed: ${stderr.toString().trim().slice(0, 300)}`);
  const text = stdout.toString();
  return reportSchema.parse(JSON.parse(text.slice(text.indexOf("{")))).jobs;
}
