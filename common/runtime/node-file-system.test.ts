import { afterEach, beforeEach, expect, test } from "bun:test";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { FileSystemError } from "./file-system.ts";
import { nodeFileSystem } from "./node-file-system.ts";

let dir = "";
beforeEach(async () => {
  dir = await mkdtemp(`${tmpdir()}/node-fs-`);
});
afterEach(() => rm(dir, { recursive: true, force: true }));
const fs = nodeFileSystem();

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: unknown) => (error instanceof FileSystemError ? error.code : String(error)),
  );
}

test("what is written in pieces at an offset is read there; reads end at the end of the file", async () => {
  const file = await fs.open(`${dir}/a`, "create-exclusive");
  await file.write([Uint8Array.of(1, 2), new Uint8Array(0), Uint8Array.of(3)], 4);
  await file.sync();
  expect(await file.size()).toBe(7);
  const into = new Uint8Array(10);
  expect(await file.read(into, 3)).toBe(4);
  expect([...into.subarray(0, 4)]).toEqual([0, 1, 2, 3]);
  expect(await file.read(into, 7)).toBe(0);
  await file.truncate(5);
  expect(await file.size()).toBe(5);
  await file.dropCache();
  await file.close();
});

test("more buffers than one call takes are all written", async () => {
  const file = await fs.open(`${dir}/many`, "create-exclusive");
  const buffers = Array.from({ length: 3000 }, (_, i) => Uint8Array.of(i % 251, i % 13));
  await file.write(buffers, 0);
  const into = new Uint8Array(6000);
  expect(await file.read(into, 0)).toBe(6000);
  expect([...into.subarray(5998)]).toEqual([2999 % 251, 2999 % 13]);
  await file.close();
});

test("names: folders, rename over a file, remove, list, sync", async () => {
  await fs.makeDirectory(`${dir}/x/y`);
  for (const name of ["b", "a"]) await (await fs.open(`${dir}/x/y/${name}`, "create-exclusive")).close();
  await fs.rename(`${dir}/x/y/a`, `${dir}/x/y/b`);
  await fs.syncDirectory(`${dir}/x/y`);
  expect(await fs.list(`${dir}/x/y`)).toEqual(["b"]);
  await fs.remove(`${dir}/x/y/b`);
  expect(await fs.exists(`${dir}/x/y/b`)).toBe(false);
  expect((await fs.space(dir)).totalBytes).toBeGreaterThan(0);
});

test("errors carry the system's code, the operation and the path", async () => {
  expect(await codeOf(fs.open(`${dir}/none`, "read"))).toBe("ENOENT");
  await (await fs.open(`${dir}/f`, "create-exclusive")).close();
  expect(await codeOf(fs.open(`${dir}/f`, "create-exclusive"))).toBe("EEXIST");
  expect(await codeOf(fs.list(`${dir}/f`))).toBe("ENOTDIR");
  const readOnly = await fs.open(`${dir}/f`, "read");
  expect(await codeOf(readOnly.write([Uint8Array.of(1)], 0))).toBe("EBADF");
  await readOnly.close();
});

test("a lock is held by one at a time and free after release, without flock too", async () => {
  const first = await fs.lock(`${dir}/LOCK`);
  expect(await codeOf(fs.lock(`${dir}/LOCK`))).toBe("EWOULDBLOCK");
  const other = await fs.lock(`${dir}/OTHER`);
  await other.release();
  await first.release();
  await (await fs.lock(`${dir}/LOCK`)).release();
});

test("flock and fadvise are used where they are given", async () => {
  const calls: string[] = [];
  let free = true;
  const given = nodeFileSystem({
    flock: (fd) => {
      calls.push(`flock ${fd > 2}`);
      return free;
    },
    dropCache: (fd) => calls.push(`drop ${fd > 2}`),
  });
  const lock = await given.lock(`${dir}/LOCK`);
  free = false;
  expect(await codeOf(given.lock(`${dir}/LOCK`))).toBe("EWOULDBLOCK");
  const file = await given.open(`${dir}/LOCK`, "read");
  await file.dropCache();
  await file.close();
  await lock.release();
  expect(calls).toEqual(["flock true", "flock true", "drop true"]);
});
