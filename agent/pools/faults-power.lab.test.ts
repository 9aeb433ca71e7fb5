/**
 * The power fails: a device with a volatile cache keeps what was flushed and any part of what was not. device-mapper's write log tells what the
 * pool wrote and flushed, in order; the device is made as it would be found after a cut at many moments, and the pool opened on it.
 * lab: machine=bare timeoutSeconds=1200 memoryMiB=3072
 */
import { expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { askHost, command } from "@couchestor/common/testing/lab.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { openChunkStore } from "../store/chunk-store.ts";
import type { MediumSpec, PoolChunkStore } from "../store/pool-chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions, type TestChunk } from "../store/testing/fixture.ts";
import { wholeReads } from "./open-pool.ts";
import { diskBySerial, sectorsOf } from "./testing/lab-pool.ts";
import { contentAfterCut, type LoggedWrite, memoryDevice, readWriteLog } from "./testing/write-log.ts";

const cuts = 60;
const fileSystemCuts = 15;
const deviceMiB = 48;
const { checksum } = await selectCodec();

/** A chunk, and the mark in the log behind which it had been acknowledged. */
interface Acknowledged {
  chunk: TestChunk;
  mark: number;
}

async function plug(serial: string, disk: string, sizeMiB: number): Promise<string> {
  await askHost({ verb: "plug", disk, kind: "scsi", serial, sizeMiB });
  return await diskBySerial(serial);
}

async function openPool(medium: MediumSpec): Promise<PoolChunkStore> {
  const options = poolOptions(nodeFileSystem(), seededPrng(9));
  const limits = { ...options.limits, segmentBytes: 2 ** 20 };
  return await openChunkStore({ ...options, checksum, clock: systemClock, limits, medium });
}

/** Writes chunks in groups, with a mark in the log whenever all so far have been acknowledged. */
async function writeLogged(medium: MediumSpec, mapped: string): Promise<Acknowledged[]> {
  const store = await openPool(medium);
  await store.adopt(clusterUuid);
  const acknowledged: Acknowledged[] = [];
  for (let group = 0; group < 24; group++) {
    const chunks = Array.from({ length: 6 }, (_, i) => chunkOf(group * 6 + i, { blocks: 1 + ((group + i) % 9) }));
    await Promise.all(chunks.map((chunk) => store.put(chunk.image)));
    command("dmsetup", "message", mapped, "0", "mark", String(group));
    for (const chunk of chunks) acknowledged.push({ chunk, mark: group });
  }
  await store.close();
  return acknowledged;
}

/** The group whose mark is the last before entry `at`; -1 before the first. */
const reachedAt = (log: readonly LoggedWrite[], at: number) =>
  Math.max(-1, ...log.slice(0, at).map(({ mark }) => mark ?? -1));

/** What is wrong with the pool that is found, when all up to the group `reached` had been acknowledged. */
async function wrongWith(
  medium: MediumSpec,
  reached: number,
  acknowledged: readonly Acknowledged[],
): Promise<string[]> {
  const found: string[] = [];
  let store: PoolChunkStore;
  try {
    store = await openPool(medium);
  } catch (error) {
    return reached < 0 ? [] : [`the pool does not open: ${error}`];
  }
  for (const { chunk, mark } of acknowledged) {
    const read = await store.get(keyOf(chunk.name), 0, chunk.data.byteLength / 4096).then(
      ({ bytes }) => (Buffer.compare(bytes, chunk.data) === 0 ? "right" : "wrong"),
      (error: unknown) => String(error),
    );
    if (read === "wrong") found.push(`chunk ${chunk.name.stripe} has wrong bytes`);
    if (mark <= reached && read !== "right") found.push(`chunk ${chunk.name.stripe}, acknowledged: ${read}`);
  }
  await store.close();
  return found;
}

/** A disk whose writes are logged, and what is left of it after a cut. */
class LoggedDisk {
  readonly path: string;
  readonly #name: string;
  readonly #logDevice: string;

  private constructor(name: string, logDevice: string) {
    this.#name = name;
    this.path = `/dev/mapper/${name}`;
    this.#logDevice = logDevice;
  }

  static async make(name: string): Promise<LoggedDisk> {
    const data = await plug(`${name}-DATA`, `${name}d`, deviceMiB);
    const logDevice = await plug(`${name}-LOG`, `${name}l`, 256);
    command("modprobe", "dm-log-writes");
    command("dmsetup", "create", name, "--table", `0 ${sectorsOf(data)} log-writes ${data} ${logDevice}`);
    return new LoggedDisk(name, logDevice);
  }

  /** Ends the logging and gives the log. */
  async log(): Promise<LoggedWrite[]> {
    command("dmsetup", "remove", "--retry", this.#name);
    const log = await readWriteLog(this.#logDevice);
    await askHost({ verb: "unplug", device: `${this.#name}d` });
    await askHost({ verb: "unplug", device: `${this.#name}l` });
    return log;
  }
}

async function violationsOf(name: string, skipSync: boolean): Promise<{ violations: string[]; flushes: number }> {
  const disk = await LoggedDisk.make(name);
  const openLogged = async () => {
    const device = wholeReads(disk.path, await openDirectFile(disk.path));
    return skipSync ? { ...device, sync: async () => {} } : device;
  };
  const acknowledged = await writeLogged({ kind: "block", path: disk.path, open: openLogged }, name);
  const log = await disk.log();
  await using dir = await tempDir("power-cut");
  const lock = `${dir.path}/lock`;
  await Bun.write(lock, "");
  const violations: string[] = [];
  const prng = seededPrng(20);
  for (let i = 0; i < cuts; i++) {
    const at = 1 + prng.below(log.length);
    const device = memoryDevice(contentAfterCut(deviceMiB << 20, log, at, seededPrng(at)));
    const medium: MediumSpec = { kind: "block", path: lock, open: async () => device };
    const wrong = await wrongWith(medium, reachedAt(log, at), acknowledged);
    violations.push(...wrong.map((what) => `cut at ${at}: ${what}`));
    if (skipSync && violations.length > 0) break;
  }
  return { violations, flushes: log.filter(({ flush }) => flush).length };
}

test(`on a raw disk: after a power cut at any of ${cuts} moments all that was acknowledged is there, and nothing is wrong`, async () => {
  const { violations, flushes } = await violationsOf("kept", false);
  expect(flushes).toBeGreaterThan(20);
  expect(violations).toEqual([]);
});

test("the same without flushes finds losses, so the cuts above do cut", async () => {
  expect((await violationsOf("lost", true)).violations.length).toBeGreaterThan(0);
});

test(`on ext4: the same after each of ${fileSystemCuts} cuts, when the file system has mended itself from its journal`, async () => {
  await using dir = await tempDir("ext4-cut");
  const mounted = `${dir.path}/mounted`;
  const image = `${dir.path}/image`;
  command("mkdir", mounted);
  command("modprobe", "-a", "ext4", "loop");
  const disk = await LoggedDisk.make("ext");
  command("mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0", disk.path);
  command("mount", disk.path, mounted);
  const medium: MediumSpec = { kind: "directory", path: `${mounted}/pool` };
  const acknowledged = await writeLogged(medium, "ext");
  command("umount", mounted);
  const log = await disk.log();
  const violations: string[] = [];
  const first = log.findIndex(({ mark }) => mark === 0);
  const prng = seededPrng(4);
  for (let i = 0; i < fileSystemCuts; i++) {
    const at = first + 1 + prng.below(log.length - first);
    await Bun.write(image, contentAfterCut(deviceMiB << 20, log, at, seededPrng(at)));
    command("mount", "-o", "loop", image, mounted);
    const wrong = await wrongWith(medium, reachedAt(log, at), acknowledged);
    violations.push(...wrong.map((what) => `cut at ${at}: ${what}`));
    command("umount", mounted);
  }
  expect(violations).toEqual([]);
});
