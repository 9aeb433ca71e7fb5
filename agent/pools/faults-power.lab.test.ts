/**
 * The power fails: a device with a volatile cache keeps what was flushed and any part of what was not. device-mapper's write log tells what the
 * pool wrote and flushed, in order; the device is made as it would be found after a cut at many moments, and the pool opened on it.
 * lab: machine=bare timeoutSeconds=300 memoryMiB=3072
 */
import { expect, test } from "bun:test";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { askHost, command } from "@couchestor/common/testing/lab.ts";
import { tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { selectCodec } from "@couchestor/native-ffi/codec/select.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { openChunkStore, type PoolChunkStore } from "../store/chunk-store.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions, type TestChunk } from "../store/testing/fixture.ts";
import { wholeReads } from "./open-pool.ts";
import { diskBySerial, sectorsOf } from "./testing/lab-pool.ts";
import { type LoggedWrite, memoryDevice, readWriteLog } from "./testing/write-log.ts";

const cuts = 60;
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

async function openPool(device: Parameters<typeof openChunkStore>[0]["medium"]): Promise<PoolChunkStore> {
  const options = poolOptions(nodeFileSystem(), seededPrng(9));
  const limits = { ...options.limits, segmentBytes: 2 ** 20 };
  return await openChunkStore({ ...options, checksum, clock: systemClock, limits, medium: device });
}

/** Writes chunks in groups, with a mark in the log whenever all so far have been acknowledged. */
async function writeLogged(path: string, mapped: string, skipSync: boolean): Promise<Acknowledged[]> {
  const open = async () => {
    const device = wholeReads(path, await openDirectFile(path));
    return skipSync ? { ...device, sync: async () => {} } : device;
  };
  const store = await openPool({ kind: "block", path, open });
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

/** What is wrong with the pool that is found after a cut behind entry `at` of the log. */
async function afterCut(
  log: readonly LoggedWrite[],
  at: number,
  acknowledged: readonly Acknowledged[],
): Promise<string[]> {
  await using dir = await tempDir("power-cut");
  const path = `${dir.path}/lock`;
  await Bun.write(path, "");
  const device = memoryDevice(deviceMiB << 20, log, at, seededPrng(at));
  const reached = Math.max(-1, ...log.slice(0, at).map(({ mark }) => mark ?? -1));
  const found: string[] = [];
  let store: PoolChunkStore;
  try {
    store = await openPool({ kind: "block", path, open: async () => device });
  } catch (error) {
    return reached < 0 ? [] : [`cut at ${at}: the pool does not open: ${error}`];
  }
  for (const { chunk, mark } of acknowledged) {
    const read = await store.get(keyOf(chunk.name), 0, chunk.data.byteLength / 4096).then(
      ({ bytes }) => (Buffer.compare(bytes, chunk.data) === 0 ? "right" : "wrong"),
      (error: unknown) => String(error),
    );
    if (read === "wrong") found.push(`cut at ${at}: chunk ${chunk.name.stripe} has wrong bytes`);
    if (mark <= reached && read !== "right")
      found.push(`cut at ${at}: chunk ${chunk.name.stripe}, acknowledged: ${read}`);
  }
  await store.close();
  return found;
}

async function violationsOf(name: string, skipSync: boolean): Promise<{ violations: string[]; flushes: number }> {
  const data = await plug(`${name}-DATA`, `${name}d`, deviceMiB);
  const logged = await plug(`${name}-LOG`, `${name}l`, 256);
  command("modprobe", "dm-log-writes");
  command("dmsetup", "create", name, "--table", `0 ${sectorsOf(data)} log-writes ${data} ${logged}`);
  const acknowledged = await writeLogged(`/dev/mapper/${name}`, name, skipSync);
  command("dmsetup", "remove", "--retry", name);
  const log = await readWriteLog(logged);
  const flushes = log.filter(({ flush }) => flush).length;
  const violations: string[] = [];
  const prng = seededPrng(20);
  for (let i = 0; i < cuts; i++) {
    violations.push(...(await afterCut(log, 1 + prng.below(log.length), acknowledged)));
    if (skipSync && violations.length > 0) break;
  }
  await askHost({ verb: "unplug", device: `${name}d` });
  await askHost({ verb: "unplug", device: `${name}l` });
  return { violations, flushes };
}

test(`after a power cut at any of ${cuts} moments all that was acknowledged is there, and nothing is wrong`, async () => {
  const { violations, flushes } = await violationsOf("kept", false);
  expect(flushes).toBeGreaterThan(20);
  expect(violations).toEqual([]);
});

test("the same without flushes finds losses, so the cuts above do cut", async () => {
  expect((await violationsOf("lost", true)).violations.length).toBeGreaterThan(0);
});
