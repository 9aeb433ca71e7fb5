/**
 * The chunk store against fio, and against its own requirements. COUCHESTOR_BENCH_DIR: where (default: the folder for temporary files);
 * COUCHESTOR_BENCH_CHUNKS: how many chunks the large pool has (default 1000000, 8.2 GB on disk while it runs).
 */
import { statfs } from "node:fs/promises";
import { tmpdir } from "node:os";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { type Bench, type BenchLine, lessIsBetter, median } from "./bench.ts";
import { fioRead, fioWrite, missingFio } from "./chunk-fio.ts";
import { dropCaches, imageMaker, keyOf, openPool, timed, withFolder } from "./chunk-pool.ts";

const depth = 32;
const rounds = 7;
const chunkHeaderBytes = 4096;
const largePoolChunks = Number(process.env["COUCHESTOR_BENCH_CHUNKS"] ?? "1000000");
const largePoolName = largePoolChunks === 1_000_000 ? "1M" : `${largePoolChunks}`;

interface Size {
  name: string;
  blocks: number;
  records: number;
}
const sizes: Size[] = [
  { name: "256KiB", blocks: 64, records: 1024 },
  { name: "4KiB", blocks: 1, records: 16_384 },
];

/** Puts and gets of one size, and fio beside them, in turn; the medians. */
async function compare(size: Size): Promise<BenchLine[]> {
  const { checksum } = await selectCodec();
  const figures = { put: [] as number[], get: [] as number[], fioWrite: [] as number[], fioRead: [] as number[] };
  const image = imageMaker(size.blocks, checksum);
  const recordBytes = chunkHeaderBytes + size.blocks * 4096;
  // Made before, as the mover that sends them does.
  const images = Array.from({ length: size.records }, (_, no) => image(no));
  for (let round = 0; round < rounds; round++) {
    await withFolder(async (folder) => {
      const job = { folder, recordBytes, records: size.records, depth };
      const fioFirst = round % 2 === 0;
      if (fioFirst) figures.fioWrite.push(fioWrite(job, depth));
      const store = await openPool(folder, checksum);
      const putSeconds = await timed(size.records, depth, (no) => store.put(images[no] ?? new Uint8Array(0)));
      figures.put.push(size.records / putSeconds);
      if (!fioFirst) figures.fioWrite.push(fioWrite(job, depth));
      const order = shuffled(size.records);
      const read = async (): Promise<void> => {
        await dropCaches(folder);
        const seconds = await timed(size.records, depth, (i) => store.get(keyOf(order[i] ?? 0), 0, size.blocks));
        figures.get.push(size.records / seconds);
      };
      if (!fioFirst) await read();
      figures.fioRead.push(fioRead(job));
      if (fioFirst) await read();
      await store.close();
    });
  }
  const line = (what: "put" | "get", theirs: number[], how: string): BenchLine => ({
    bench: `chunk.${what}.${size.name}`,
    ours: median(figures[what]),
    theirs: median(theirs),
    reference: `fio ${how}, ${recordBytes} bytes, depth ${depth}`,
    unit: "chunks/s",
    // Round by round, since the disk's own speed changes from one round to the next.
    ratio: median(figures[what].map((ours, round) => ours / (theirs[round] ?? Number.NaN))),
  });
  return [
    line("put", figures.fioWrite, `write, fdatasync every ${depth}`),
    line("get", figures.fioRead, "randread, page cache dropped before"),
  ];
}

function shuffled(count: number): number[] {
  const prng = seededPrng(7);
  const order = Array.from({ length: count }, (_, i) => i);
  for (let i = count - 1; i > 0; i--) {
    const j = prng.below(i + 1);
    [order[i], order[j]] = [order[j] ?? 0, order[i] ?? 0];
  }
  return order;
}

function residentMegabytes(): number {
  Bun.gc(true);
  return process.memoryUsage.rss() / 1e6;
}

/** Opens the pool, and says in how many milliseconds. */
async function timedOpen(folder: string, from: "snapshot" | "scan"): Promise<number> {
  const { checksum } = await selectCodec();
  const start = systemClock.monotonicMs();
  const store = await openPool(folder, checksum);
  const ms = systemClock.monotonicMs() - start;
  const stats = store.stats();
  if (stats.openedFrom !== from) throw new AppError("Internal", `the pool was opened from ${stats.openedFrom}`);
  await store.close();
  return ms;
}

/** A pool of many 4 KiB chunks: memory, and the time to open it with and without its snapshot. */
async function largePool(): Promise<BenchLine[]> {
  const { checksum } = await selectCodec();
  return withFolder(async (folder) => {
    const image = imageMaker(1, checksum);
    const store = await openPool(folder, checksum);
    const idle = residentMegabytes();
    await timed(largePoolChunks, 256, (no) => store.put(image(no)));
    const full = residentMegabytes();
    const { indexBytes } = store.stats();
    await store.close();
    const fromSnapshot = await timedOpen(folder, "snapshot");
    const { rm } = await import("node:fs/promises");
    await rm(`${folder}/pool/index.snapshot`);
    const fromScan = await timedOpen(folder, "scan");
    const what = `${largePoolChunks} chunks of 4 KiB`;
    const name = (figure: string) => `chunk.${largePoolName}.${figure}`;
    return [
      { bench: name("index"), ours: indexBytes / largePoolChunks, unit: "bytes/chunk" },
      { bench: name("rss-empty"), ours: idle, unit: "MB" },
      { bench: name("rss"), ours: full, unit: "MB" },
      { bench: name("open-scan"), ours: fromScan, unit: "ms" },
      lessIsBetter({
        bench: name("open-snapshot"),
        ours: fromSnapshot,
        theirs: fromScan,
        reference: `the same pool without its snapshot; ${what}`,
        unit: "ms",
      }),
    ];
  });
}

async function missingSpace(): Promise<string | undefined> {
  const stat = await statfs(process.env["COUCHESTOR_BENCH_DIR"] ?? tmpdir());
  const needed = largePoolChunks * 8192 * 1.25;
  const free = stat.bavail * stat.bsize;
  return free >= needed
    ? undefined
    : `it needs ${needed} bytes free, there are ${free}; set COUCHESTOR_BENCH_CHUNKS lower`;
}

export const chunkBenches: readonly Bench[] = [
  ...sizes.map((size) => ({
    lines: [`chunk.put.${size.name}`, `chunk.get.${size.name}`],
    run: () => compare(size),
    missing: missingFio,
  })),
  {
    lines: ["index", "rss-empty", "rss", "open-scan", "open-snapshot"].map((f) => `chunk.${largePoolName}.${f}`),
    run: largePool,
    missing: missingSpace,
  },
];
