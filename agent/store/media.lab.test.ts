/**
 * The suite of the chunk store on real devices, as the agent opens them, and a process killed in the midst of writing to zones.
 * lab: timeoutSeconds=1200 memoryMiB=3072
 */
import { afterAll, beforeAll, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { systemPrng } from "@couchestor/common/runtime/prng.ts";
import { command } from "@couchestor/common/testing/lab.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { flockExclusive } from "@couchestor/native-ffi/libc/libc.ts";
import { openZonedFile, type ZonedFileOptions } from "@couchestor/native-ffi/zoned/zoned-file.ts";
import { wholeReads } from "../pools/open-pool.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { ChunkStoreOptions, MediumSpec } from "./pool-chunk-store.ts";
import { conformChunkStore, expectWhole, plainOptions } from "./testing/conformance.ts";
import { chunkOf } from "./testing/fixture.ts";

const mebibyte = 2 ** 20;
const { checksum } = await selectCodec();
const fileSystem = nodeFileSystem({ flock: flockExclusive });

const isZoned = (name: string) => readFileSync(`/sys/block/${name}/queue/zoned`, "utf8").trim() === "host-managed";
const nvme = readdirSync("/sys/block").filter((name) => /^nvme\d+n\d+$/.test(name));
const zonedPath = `/dev/${nvme.find(isZoned)}`;
const plainPath = `/dev/${nvme.find((name) => !isZoned(name) && readFileSync(`/sys/block/${name}/size`, "utf8").trim() === String(2 ** 21))}`;

beforeAll(() => {
  command(
    "modprobe",
    "null_blk",
    "zoned=1",
    "zone_size=2",
    "gb=1",
    "nr_devices=1",
    "memory_backed=1",
    "zone_nr_conv=3",
    "zone_max_active=4",
  );
});
afterAll(() => {
  command("rmmod", "null_blk");
});

/** The medium is formatted by the first opening of each test. */
function onDevice(spec: () => MediumSpec, capacityBytes: number): () => ChunkStoreOptions {
  let first = true;
  return () => {
    const medium = { ...spec(), format: first } as MediumSpec;
    first = false;
    const limits = { segmentBytes: mebibyte, maintenanceEveryMs: 0, reserveBytes: 0, capacityBytesMax: capacityBytes };
    // Every pool with a uuid of its own: what the one before left on the device is not taken for its own.
    return plainOptions({ checksum, clock: systemClock, prng: systemPrng, fileSystem, medium, limits });
  };
}

const zonedSpec = (path: string, options: ZonedFileOptions = {}): MediumSpec => ({
  kind: "zoned",
  path,
  open: () => openZonedFile(path, options),
});

const media: { name: string; spec: () => MediumSpec; capacityMebibytes: number; bigBlocks: number }[] = [
  {
    name: "an NVMe namespace",
    spec: () => ({
      kind: "block",
      path: plainPath,
      open: async () => wholeReads(plainPath, await openDirectFile(plainPath)),
    }),
    capacityMebibytes: 12,
    bigBlocks: 40,
  },
  { name: "a zoned null_blk", spec: () => zonedSpec("/dev/nullb0"), capacityMebibytes: 12, bigBlocks: 50 },
  {
    name: "a zoned NVMe namespace, by append",
    spec: () => zonedSpec(zonedPath),
    capacityMebibytes: 72,
    bigBlocks: 120,
  },
  {
    name: "a zoned NVMe namespace, by write",
    spec: () => zonedSpec(zonedPath, { writeBy: "write" }),
    capacityMebibytes: 72,
    bigBlocks: 120,
  },
];

for (const { name, spec, capacityMebibytes, bigBlocks } of media)
  conformChunkStore({
    name,
    bigBlocks,
    timeoutMs: 3_600_000,
    make: async () => ({ options: onDevice(spec, capacityMebibytes * mebibyte), dispose: async () => {} }),
  });

/** Reads the child's lines until so many were acknowledged, kills it, and returns all that it said. */
async function runAndKill(path: string, first: number, acknowledged: number): Promise<string[]> {
  const script = `${import.meta.dir}/testing/kill-child.ts`;
  const child = Bun.spawn([process.execPath, script, path, String(first)], { stdout: "pipe", stderr: "inherit" });
  const lines: string[] = [];
  let rest = "";
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    const split = (rest + part).split("\n");
    rest = split.pop() ?? "";
    lines.push(...split);
    if (lines.filter((line) => line.startsWith("ok")).length >= acknowledged) child.kill("SIGKILL");
  }
  await child.exited;
  return lines;
}

for (const [path, rounds] of [
  [zonedPath, 4],
  ["/dev/nullb0", 2],
] as const)
  test(`SIGKILL in the midst of writing to the zones of ${path === zonedPath ? "NVMe" : "null_blk"} loses nothing that was acknowledged`, async () => {
    const options = onDevice(() => zonedSpec(path), 2 ** 30);
    await (await openChunkStore(options())).close();
    const put = new Set<number>();
    const gone = new Set<number>();
    for (let round = 0; round < rounds; round++) {
      const lines = new Set(await runAndKill(path, round * 100_000, 40 + round * 23));
      for (const line of lines) {
        const no = Number(line.split(" ").at(-1));
        if (line.startsWith("ok put") && !lines.has(`del ${no}`)) put.add(no);
        if (line.startsWith("ok del")) gone.add(no);
      }
      const store = await openChunkStore(options());
      expect(store.info()).toMatchObject({ state: "Online", kind: "zoned" });
      for (const no of put) await expectWhole(store, chunkOf(no, { blocks: 1 + (no % 3) }));
      for (const no of gone) expect(store.has(chunkOf(no).name)).toBe(false);
      await store.close();
    }
    expect(put.size).toBeGreaterThan(rounds * 25);
  }, 3_600_000);
