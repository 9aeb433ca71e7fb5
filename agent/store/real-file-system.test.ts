import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { nodeFileSystem } from "@couchestor/common/runtime/node-file-system.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { aioAvailable } from "@couchestor/native-ffi/libaio/aio.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { openChunkStore } from "./chunk-store.ts";
import type { BlockDevice } from "./medium.ts";
import { openFileBlockDevice } from "./testing/file-block-device.ts";
import { chunkOf, clusterUuid, keyOf, poolOptions } from "./testing/fixture.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(`${tmpdir()}/store-`);
});
afterEach(() => rm(dir, { recursive: true, force: true }));

/** Reads the child's lines until it has acknowledged `acknowledged` of them, kills it, and returns all that it said. */
async function runAndKill(first: number, acknowledged: number): Promise<string[]> {
  const child = Bun.spawn(
    [process.execPath, `${import.meta.dir}/testing/kill-child.ts`, `${dir}/pool`, String(first)],
    {
      stdout: "pipe",
      stderr: "inherit",
    },
  );
  const lines: string[] = [];
  let rest = "";
  let seen = 0;
  for await (const part of child.stdout.pipeThrough(new TextDecoderStream())) {
    const split = (rest + part).split("\n");
    rest = split.pop() ?? "";
    lines.push(...split);
    seen += split.filter((line) => line.startsWith("ok")).length;
    if (seen >= acknowledged) child.kill("SIGKILL");
  }
  await child.exited;
  return lines;
}

test("SIGKILL in the midst of writing loses nothing that was acknowledged, time after time", async () => {
  const put = new Set<number>();
  const gone = new Set<number>();
  for (let round = 0; round < 4; round++) {
    const lines = new Set(await runAndKill(round * 100_000, 60 + round * 23));
    expect(lines.size).toBeGreaterThan(60);
    for (const line of lines) {
      const no = Number(line.split(" ").at(-1));
      if (line.startsWith("ok put") && !lines.has(`del ${no}`)) put.add(no);
      if (line.startsWith("ok del")) gone.add(no);
    }
    const store = await openChunkStore(poolOptions(nodeFileSystem(), seededPrng(1), `${dir}/pool`));
    for (const no of put) {
      const chunk = chunkOf(no, { blocks: 1 + (no % 3) });
      const { bytes } = await store.get(keyOf(chunk.name), 0, 1 + (no % 3));
      expect(Buffer.compare(bytes, chunk.data)).toBe(0);
    }
    for (const no of gone) expect(store.has(chunkOf(no).name)).toBe(false);
    expect(store.info().state).toBe("Online");
    await store.close();
  }
}, 180_000);

test("a pool that another process has open is refused", async () => {
  const open = () => openChunkStore(poolOptions(nodeFileSystem(), seededPrng(1), `${dir}/pool`));
  const store = await open();
  const error = await open().catch((failure: unknown) => failure);
  expect(isAppError(error, "Unavailable")).toBe(true);
  expect(String(error)).toContain("another process has it open");
  await store.close();
});

/** The device past the page cache, as the agent opens it. */
async function openDirect(path: string): Promise<BlockDevice> {
  const file = await openDirectFile(path);
  return {
    sizeBytes: file.sizeBytes,
    read: async (into, offset) => expect(await file.read(into, offset)).toBe(into.byteLength),
    write: (buffers, offset) => file.write(buffers, offset),
    sync: () => file.sync(),
    close: () => file.close(),
  };
}

/** A loop device over a file of 16 MiB; undefined where there can be none. */
async function attachLoop(image: string): Promise<string | undefined> {
  if (process.getuid?.() !== 0 || Bun.which("losetup") === null) return undefined;
  await writeFile(image, "");
  await truncate(image, 16 * 2 ** 20);
  const attached = Bun.spawnSync(["losetup", "--find", "--show", image], { stdout: "pipe", stderr: "ignore" });
  return attached.success ? attached.stdout.toString().trim() : undefined;
}

const loopDir = await mkdtemp(`${tmpdir()}/store-loop-`);
const device = await attachLoop(`${loopDir}/image`);
afterAll(async () => {
  if (device !== undefined) Bun.spawnSync(["losetup", "--detach", device]);
  await rm(loopDir, { recursive: true, force: true });
});

test.skipIf(device === undefined)("a pool on a loop device (needs root and losetup) keeps its chunks", async () => {
  const path = device as string;
  const fileSystem = nodeFileSystem();
  const open = () =>
    aioAvailable().available ? openDirect(path) : openFileBlockDevice(fileSystem, path, 16 * 2 ** 20);
  const options = {
    ...poolOptions(fileSystem, seededPrng(1)),
    medium: { kind: "block" as const, path, open },
  };
  const store = await openChunkStore(options);
  await store.adopt(clusterUuid);
  const chunks = Array.from({ length: 20 }, (_, no) => chunkOf(no, { blocks: 3 }));
  await Promise.all(chunks.map((chunk) => store.put(chunk.image)));
  await store.close();
  const again = await openChunkStore(options);
  expect(again.info()).toMatchObject({ kind: "block", chunkCount: 20 });
  for (const chunk of chunks)
    expect(Buffer.compare((await again.get(keyOf(chunk.name), 0, 3)).bytes, chunk.data)).toBe(0);
  await again.close();
});
