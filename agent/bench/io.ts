/**
 * Direct I/O as the agent does it against fio with the same parameters, in turn on one file; and how late the event loop is meanwhile.
 * COUCHESTOR_BENCH_DIR: where the file lies (default: the folder for temporary files, which must take O_DIRECT: not tmpfs).
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { alignedBytes } from "@couchestor/native-ffi/core/memory.ts";
import { aioAvailable } from "@couchestor/native-ffi/libaio/aio.ts";
import { type DirectFile, openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { IoLatency } from "../store/io-latency.ts";
import { type Bench, type BenchLine, median } from "./bench.ts";
import { missingFio, runFio } from "./chunk-fio.ts";
import { withFolder } from "./chunk-pool.ts";

const fileBytes = 512 * 2 ** 20;
const rounds = 5;
const secondsEach = 1;
const sampleEveryMs = 1;

interface Job {
  name: string;
  rw: "randread" | "randwrite" | "read" | "write";
  blockBytes: number;
  depth: number;
}

const kibibyte = 1024;
const jobs: readonly Job[] = [
  ...[1, 32].flatMap((depth): Job[] => [
    { name: `io.randread.4KiB.qd${depth}`, rw: "randread", blockBytes: 4 * kibibyte, depth },
    { name: `io.randwrite.4KiB.qd${depth}`, rw: "randwrite", blockBytes: 4 * kibibyte, depth },
  ]),
  { name: "io.read.128KiB.qd32", rw: "read", blockBytes: 128 * kibibyte, depth: 32 },
  { name: "io.write.128KiB.qd32", rw: "write", blockBytes: 128 * kibibyte, depth: 32 },
];
const delayLine = "io.event-loop-delay.p99";

/** Operations a second by fio. */
function theirs(path: string, job: Job): number {
  const args = [
    "--name=couchestor",
    "--output-format=json",
    `--filename=${path}`,
    `--rw=${job.rw}`,
    `--bs=${job.blockBytes}`,
    `--size=${fileBytes}`,
    "--ioengine=libaio",
    "--direct=1",
    `--iodepth=${job.depth}`,
    "--time_based",
    `--runtime=${secondsEach}`,
    "--randrepeat=0",
  ];
  const [report] = runFio(args);
  const done = job.rw.endsWith("read") ? report?.read : report?.write;
  if (!done || done.runtime === 0) throw new AppError("Internal", "fio reported no work");
  return done.io_bytes / job.blockBytes / (done.runtime / 1000);
}

/** Operations a second by our own layer. */
async function ours(path: string, job: Job, round: number): Promise<number> {
  const latency = new IoLatency(systemClock);
  const file = await openDirectFile(path, { depthMax: job.depth, latency });
  try {
    const start = systemClock.monotonicMs();
    const until = start + secondsEach * 1000;
    const blocks = fileBytes / job.blockBytes;
    const prng = seededPrng(round + 1);
    let next = 0;
    let done = 0;
    const offset = (): number => (job.rw.startsWith("rand") ? prng.below(blocks) : next++ % blocks) * job.blockBytes;
    const worker = async (): Promise<void> => {
      const buffer = alignedBytes(job.blockBytes).fill(round);
      const buffers = [buffer];
      while (systemClock.monotonicMs() < until) {
        if (job.rw.endsWith("read")) await file.read(buffer, offset());
        else await file.write(buffers, offset());
        done++;
      }
    };
    await Promise.all(Array.from({ length: job.depth }, worker));
    const count = latency.count(job.rw.endsWith("read") ? "read" : "write");
    if (count !== done) throw new AppError("Internal", `${done} operations were done, ${count} were measured`);
    return done / ((systemClock.monotonicMs() - start) / 1000);
  } finally {
    await file.close();
  }
}

/** Notes how much later than asked for a timer fires, until stopped. */
function watchEventLoop(delaysMs: number[]): () => Promise<void> {
  const stop = new AbortController();
  const watching = (async () => {
    while (!stop.signal.aborted) {
      const start = systemClock.monotonicMs();
      await systemClock.sleep(sampleEveryMs);
      delaysMs.push(Math.max(0, systemClock.monotonicMs() - start - sampleEveryMs));
    }
  })();
  return () => {
    stop.abort();
    return watching;
  };
}

async function fill(path: string): Promise<void> {
  const file: DirectFile = await openDirectFile(path, { create: true });
  const part = alignedBytes(2 ** 20);
  part.set(seededPrng(1).bytes(part.byteLength));
  for (let at = 0; at < fileBytes; at += part.byteLength) await file.write([part], at);
  await file.sync();
  await file.close();
}

async function run(wanted: (line: string) => boolean): Promise<BenchLine[]> {
  const chosen = wanted(delayLine) ? jobs : jobs.filter(({ name }) => wanted(name));
  return withFolder(async (folder) => {
    const path = join(folder, "io.data");
    await fill(path);
    const figures = new Map(chosen.map((job) => [job, { ours: [] as number[], theirs: [] as number[] }]));
    const delaysMs: number[] = [];
    for (let round = 0; round < rounds; round++) {
      for (const [job, figure] of figures) {
        if (round % 2 === 0) figure.theirs.push(theirs(path, job));
        const stop = watchEventLoop(delaysMs);
        figure.ours.push(await ours(path, job, round));
        await stop();
        if (round % 2 === 1) figure.theirs.push(theirs(path, job));
      }
    }
    const lines = [...figures].map(([job, figure]) => ({
      bench: job.name,
      ours: median(figure.ours),
      theirs: median(figure.theirs),
      reference: `fio libaio, direct, ${job.blockBytes} bytes, depth ${job.depth}`,
      unit: "operations/s",
      // Round by round, since the disk's own speed changes from one round to the next.
      ratio: median(figure.ours.map((value, i) => value / (figure.theirs[i] ?? Number.NaN))),
    }));
    delaysMs.sort((a, b) => a - b);
    const p99 = delaysMs[Math.floor(delaysMs.length * 0.99)] ?? Number.NaN;
    return [...lines, { bench: delayLine, ours: p99, unit: "ms" }];
  });
}

async function missing(): Promise<string | undefined> {
  const { available, why } = aioAvailable();
  if (!available) return why;
  return (await missingFio()) ?? (await missingDirect());
}

async function missingDirect(): Promise<string | undefined> {
  return withFolder(async (folder) => {
    try {
      await (await openDirectFile(join(folder, "probe"), { create: true })).close();
      return undefined;
    } catch (error) {
      const where = process.env["COUCHESTOR_BENCH_DIR"] ?? tmpdir();
      return `${where} takes no direct I/O (${String(error)}); name another folder by COUCHESTOR_BENCH_DIR`;
    }
  });
}

export const ioBenches: readonly Bench[] = [{ lines: [...jobs.map(({ name }) => name), delayLine], run, missing }];
