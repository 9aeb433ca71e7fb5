import { describe, expect, test } from "bun:test";
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { tempDir, withTempDir } from "@couchestor/common/testing/temp-dir.ts";
import { sampleScrub, sampleStripes } from "../cli/testing/samples.ts";
import { auditFaults, Comparison, mostOnOneNode, placementFaults } from "./checks.ts";
import { allocatedBytes, findBytes, flipBytes } from "./disk.ts";
import { makeDemoFile } from "./image.ts";

const [healthy, lost] = sampleStripes();
if (healthy === undefined || lost === undefined) throw new Error("the samples have two runs");

describe("placement", () => {
  test("a good one has no faults; each rule has its own", () => {
    expect(placementFaults([healthy])).toEqual([]);
    const [a, b, c] = healthy.shards;
    if (a === undefined || b === undefined || c === undefined) throw new Error("the sample has three shards");
    const on = (shards: typeof healthy.shards) =>
      placementFaults([{ ...healthy, shards }]).map((fault) => fault.split(": ")[1]);
    expect(on([a, b])).toEqual(["2 shards"]);
    expect(on([a, b, { ...c, poolUuid: a.poolUuid }])).toEqual(["two shards in one pool"]);
    expect(on([a, b, { ...c, nodeName: a.nodeName }])).toEqual(["2 shards on one node"]);
    expect(placementFaults([lost])).toEqual(["photos-0000000016: a shard that can't be reached"]);
    expect(mostOnOneNode(healthy)).toBe(1);
  });
});

describe("audit", () => {
  test("is clean only when every stripe and every chunk was read and nothing found", () => {
    const stripes = [healthy, { ...lost, state: "Healthy" as const }];
    const clean = sampleScrub({ chunksChecked: 192 });
    expect(auditFaults(clean, stripes)).toEqual([]);
    expect(auditFaults({ ...clean, chunksChecked: 191 }, stripes)).toEqual(["191 of 192 reads of chunks were made"]);
    expect(auditFaults({ ...clean, stripesChecked: 31 }, stripes)).toEqual(["31 of 32 stripes were checked"]);
    expect(auditFaults({ ...clean, state: "Failed", error: "no agent" }, stripes)).toEqual([
      "it ended Failed: no agent",
    ]);
  });
});

test("the comparison names the first byte that differs, and a file that is shorter", () =>
  withTempDir("demo-compare", async (dir) => {
    const path = join(dir, "file");
    await writeFile(path, "0123456789");
    const compare = async (...parts: [string, number][]): Promise<number> => {
      const comparison = new Comparison(path);
      for (const [text, offset] of parts) await comparison.take(Buffer.from(text), offset);
      await comparison.close();
      return comparison.firstDifference;
    };
    expect(await compare(["01234", 0], ["56789", 5])).toBe(-1);
    expect(await compare(["01234", 0], ["56x89", 5], ["y", 9])).toBe(7);
    expect(await compare(["0123456789z", 0])).toBe(10);
  }));

test("bytes are found wherever they are in the files of a pool, across window borders, and flipped in place", () =>
  withTempDir("demo-disk", async (dir) => {
    const needle = seededPrng(1).bytes(4096);
    const hay = Buffer.alloc(9 * 1024 * 1024);
    const at = 4 * 1024 * 1024 - 100;
    hay.set(needle, at);
    await writeFile(join(dir, "segment"), hay);
    await writeFile(join(dir, "other"), "nothing");
    expect(await findBytes(dir, needle, 2)).toEqual([{ path: join(dir, "segment"), offset: at }]);
    hay.set(needle, 8 * 1024 * 1024);
    await writeFile(join(dir, "segment"), hay);
    const places = await findBytes(dir, needle, 5);
    expect(places.map((place) => place.offset)).toEqual([at, 8 * 1024 * 1024]);
    const [first] = places;
    if (first === undefined) throw new Error("not found");
    await flipBytes(first, 16);
    const now = await readFile(first.path);
    expect(now.subarray(at, at + 16).every((byte, i) => byte === ((needle[i] ?? 0) ^ 0xff))).toBe(true);
    expect(now.subarray(at + 16, at + 4096).equals(Buffer.from(needle.subarray(16)))).toBe(true);
    expect(await allocatedBytes([dir])).toBeGreaterThanOrEqual(8192);
  }));

test("the demo's file is real content, of the size asked for; without mkfs.ext4 it is a real file and says so", async () => {
  await using dir = await tempDir("demo-image");
  const program = [process.execPath, join(import.meta.dir, "../../couchestor.ts")];
  const common = { dir: dir.path, sizeBytes: 12 * 1024 * 1024, signal: new AbortController().signal };
  const made = await makeDemoFile({ ...common, program, env: { PATH: process.env["PATH"] } });
  const file = Bun.file(made.path);
  if (made.path.endsWith("image.ext4")) {
    expect(file.size).toBe(12 * 1024 * 1024);
    // The magic number of ext4's superblock.
    expect(new DataView(await file.slice(1024 + 56, 1024 + 58).arrayBuffer()).getUint16(0, true)).toBe(0xef53);
  } else {
    expect(made.what).toContain("no mkfs.ext4");
    expect(file.size).toBe(Bun.file(process.execPath).size);
  }
}, 180_000);
