/**
 * The whole system as a user meets it: start, memory when idle, and a file in and out through six agents on this machine.
 */
import { closeSync, openSync, writeSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { formatBytes, parseBytes } from "@couchestor/common/units/bytes.ts";
import { type Bench, type BenchLine, lessIsBetter, median, moreIsBetter } from "./bench.ts";
import { type Cluster, capture, residentBytesOf, startCluster } from "./cluster-process.ts";

const agentCount = 6;
const rounds = 3;
/** `COUCHESTOR_BENCH_SIZE` makes it smaller on a machine with little space. */
const sizeBytes = parseBytes(process.env["COUCHESTOR_BENCH_SIZE"] ?? "1GiB", "COUCHESTOR_BENCH_SIZE");
const idleMs = 3_000;

const sizeName = formatBytes(sizeBytes).replace(" ", "");

export const clusterBenches: readonly Bench[] = [
  { lines: [`cluster.ready.${agentCount}-agents`, "cluster.agent-rss-idle"], run: start },
  {
    lines: ["cluster.ready.1-agent"],
    run: async () => [{ bench: "cluster.ready.1-agent", ours: await readyAlone(), unit: "s" }],
  },
  { lines: [`cluster.import.${sizeName}`, `cluster.export.${sizeName}`], run: transfer },
];

/** Start to ready, and what an agent takes when it has nothing to do. */
async function start(): Promise<BenchLine[]> {
  await using cluster = await startCluster(agentCount);
  await systemClock.sleep(idleMs);
  const agents = cluster.agents().map(residentBytesOf);
  const bare = await bareRuntimeBytes();
  return [
    { bench: `cluster.ready.${agentCount}-agents`, ours: cluster.readySeconds, unit: "s" },
    lessIsBetter({
      bench: "cluster.agent-rss-idle",
      ours: median(agents) / 2 ** 20,
      theirs: bare / 2 ** 20,
      reference: "the bare runtime, idle",
      unit: "MiB",
    }),
  ];
}

async function readyAlone(): Promise<number> {
  await using cluster = await startCluster(1);
  return cluster.readySeconds;
}

/** Memory of the runtime with an empty program. */
async function bareRuntimeBytes(): Promise<number> {
  const child = Bun.spawn([process.execPath, "-e", "process.stdin.resume()"], {
    stdin: "pipe",
    env: { ...process.env, BUN_BE_BUN: "1" },
  });
  await systemClock.sleep(500);
  const bytes = residentBytesOf(child.pid);
  child.kill();
  await child.exited;
  return bytes;
}

/** Import and export beside `cp` and `sha256sum` of the same file, in turns. */
async function transfer(): Promise<BenchLine[]> {
  await using cluster = await startCluster(agentCount);
  const source = join(cluster.scratch, "source");
  writeNoise(source, sizeBytes);
  const seconds = { import: [] as number[], export: [] as number[], copy: [] as number[] };
  for (let round = 0; round < rounds; round++) {
    seconds.copy.push(await timed(() => copyAndSum(source, join(cluster.scratch, "copy"))));
    seconds.import.push(await timed(() => cluster.verb("volume", "import", `bench-${round}`, "--file", source)));
    seconds.export.push(await timed(() => exportOne(cluster, `bench-${round}`)));
    await cluster.verb("volume", "delete", `bench-${round}`, "--yes");
  }
  const speed = (values: readonly number[]) => sizeBytes / 1e9 / median(values);
  return (["import", "export"] as const).map((way) =>
    moreIsBetter({
      bench: `cluster.${way}.${sizeName}`,
      ours: speed(seconds[way]),
      theirs: speed(seconds.copy),
      reference: "cp and sha256sum",
      unit: "GB/s",
    }),
  );
}

async function exportOne(cluster: Cluster, volume: string): Promise<void> {
  const target = join(cluster.scratch, "restored");
  await cluster.verb("volume", "export", volume, "--file", target);
  await rm(target);
}

async function copyAndSum(source: string, target: string): Promise<void> {
  await capture(["cp", source, target]);
  await capture(["sha256sum", target]);
  await rm(target);
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedMs = systemClock.monotonicMs();
  await work();
  return (systemClock.monotonicMs() - startedMs) / 1000;
}

/** Bytes that don't compress: a block of noise, stamped differently each time it is written. */
function writeNoise(path: string, lengthBytes: number): void {
  const block = seededPrng(1).bytes(2 ** 20);
  const file = openSync(path, "wx");
  try {
    for (let written = 0; written < lengthBytes; written += block.length) {
      new DataView(block.buffer).setFloat64(0, written);
      const part = block.subarray(0, Math.min(block.length, lengthBytes - written));
      if (writeSync(file, part) !== part.length) throw new AppError("NoSpace", `${path} could not be written`);
    }
  } finally {
    closeSync(file);
  }
}
