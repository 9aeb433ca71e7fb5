/**
 * The chunk store on a zoned namespace against the same on a plain one, in turn. COUCHESTOR_BENCH_ZONED and COUCHESTOR_BENCH_PLAIN name the two
 * devices; everything on both is lost, so COUCHESTOR_BENCH_WIPE=yes has to be said too.
 */
import { existsSync } from "node:fs";
import type { Checksum } from "@couchestor/native-ffi/codec/ports.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { openZonedFile } from "@couchestor/native-ffi/zoned/zoned-file.ts";
import { wholeReads } from "../pools/open-pool.ts";
import type { MediumSpec } from "../store/pool-chunk-store.ts";
import { type Bench, type BenchLine, median } from "./bench.ts";
import { imageMaker, keyOf, openPoolOn, timed } from "./chunk-pool.ts";

const zonedPath = process.env["COUCHESTOR_BENCH_ZONED"] ?? "";
const plainPath = process.env["COUCHESTOR_BENCH_PLAIN"] ?? "";
const rounds = 3;
const records = 160;
const blocks = 64;
const depth = 32;

/** Formatted by each opening. */
const plain: MediumSpec = {
  kind: "block",
  path: plainPath,
  open: async () => wholeReads(plainPath, await openDirectFile(plainPath)),
  format: true,
};
const zoned = (writeBy?: "write"): MediumSpec => ({
  kind: "zoned",
  path: zonedPath,
  open: () => openZonedFile(zonedPath, { writeBy }),
  format: true,
});

/** Chunks a second, put and then got. */
async function measure(
  medium: MediumSpec,
  checksum: Checksum,
  images: readonly Uint8Array[],
): Promise<{ put: number; get: number }> {
  const store = await openPoolOn(medium, checksum);
  const putSeconds = await timed(records, depth, (no) => store.put(images[no] ?? new Uint8Array(0)));
  const getSeconds = await timed(records, depth, (no) => store.get(keyOf((no * 7919) % records), 0, blocks));
  await store.close();
  return { put: records / putSeconds, get: records / getSeconds };
}

async function compare(): Promise<BenchLine[]> {
  const { checksum } = await selectCodec();
  const image = imageMaker(blocks, checksum);
  const images = Array.from({ length: records }, (_, no) => image(no));
  const media = { plain, zoned: zoned(), byWrite: zoned("write") };
  const figures = { plain: [], zoned: [], byWrite: [] } as Record<keyof typeof media, { put: number; get: number }[]>;
  for (let round = 0; round < rounds; round++) {
    const order = round % 2 === 0 ? (["plain", "zoned", "byWrite"] as const) : (["byWrite", "zoned", "plain"] as const);
    for (const name of order) figures[name].push(await measure(media[name], checksum, images));
  }
  const line = (bench: string, name: keyof typeof media, what: "put" | "get"): BenchLine => ({
    bench,
    ours: median(figures[name].map((figure) => figure[what])),
    theirs: median(figures.plain.map((figure) => figure[what])),
    reference: `the same on the plain namespace ${plainPath}`,
    unit: "chunks/s",
    ratio: median(figures[name].map((figure, round) => figure[what] / (figures.plain[round]?.[what] ?? Number.NaN))),
  });
  return [
    line("zns.put.256KiB", "zoned", "put"),
    line("zns.put-without-append.256KiB", "byWrite", "put"),
    line("zns.get.256KiB", "zoned", "get"),
  ];
}

async function missing(): Promise<string | undefined> {
  for (const [name, path] of [
    ["COUCHESTOR_BENCH_ZONED", zonedPath],
    ["COUCHESTOR_BENCH_PLAIN", plainPath],
  ] as const)
    if (!existsSync(path)) return `it needs a zoned and a plain device: ${name} is "${path}", which is not there`;
  if (process.env["COUCHESTOR_BENCH_WIPE"] === "yes") return undefined;
  return `everything on ${zonedPath} and ${plainPath} would be lost; if it may be, set COUCHESTOR_BENCH_WIPE=yes`;
}

export const zonedBenches: readonly Bench[] = [
  { lines: ["zns.put.256KiB", "zns.put-without-append.256KiB", "zns.get.256KiB"], run: compare, missing },
];
