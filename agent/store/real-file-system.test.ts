import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
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

test("a pool on a loop device keeps its chunks", async () => {
  const image = `${dir}/image`;
  const fileSystem = nodeFileSystem();
  const file = await fileSystem.open(image, "create-exclusive");
  await file.truncate(16 * 2 ** 20);
  await file.close();
  const attached = process.getuid?.() === 0 ? Bun.spawnSync(["losetup", "--find", "--show", image]) : undefined;
  if (!attached?.success) {
    process.stderr.write("skipped: no loop device here (needs root and losetup)\n");
    return;
  }
  const device = attached.stdout.toString().trim();
  try {
    const open = () =>
      aioAvailable().available ? openDirect(device) : openFileBlockDevice(fileSystem, device, 16 * 2 ** 20);
    const options = {
      ...poolOptions(fileSystem, seededPrng(1)),
      medium: { kind: "block" as const, path: device, open },
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
  } finally {
    Bun.spawnSync(["losetup", "--detach", device]);
  }
});
