import { expect, test } from "bun:test";
import { FileSystemError } from "../runtime/file-system.ts";
import { seededPrng } from "../runtime/prng.ts";
import { SimFileSystem } from "./sim-file-system.ts";

const page = (value: number): Uint8Array => new Uint8Array(4096).fill(value);

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: unknown) => (error instanceof FileSystemError ? error.code : String(error)),
  );
}

/** A file of one synced page whose name is durable, with a second page and a second name that are not; then a crash. */
async function crashed(
  seed: number,
): Promise<{ first: number; sizeBytes: number; second: Set<number>; names: string }> {
  const fs = new SimFileSystem({ prng: seededPrng(seed) });
  const file = await fs.open("/a", "create-exclusive");
  await file.write([page(1)], 0);
  await file.sync();
  await fs.syncDirectory("/");
  await file.write([page(2)], 4096);
  await (await fs.open("/b", "create-exclusive")).close();
  fs.crash();
  expect(await codeOf(file.size())).toBe("ECRASHED");
  const again = await fs.open("/a", "read");
  const bytes = new Uint8Array(8192);
  const sizeBytes = await again.read(bytes, 0);
  return {
    first: bytes[0] ?? 0,
    sizeBytes,
    second: new Set(bytes.subarray(4096, sizeBytes)),
    names: (await fs.list("/")).join(),
  };
}

test("what was synced stays; what was not is kept, dropped or torn, each in some run; the same seed gives the same", async () => {
  const outcomes = new Set<string>();
  for (let seed = 0; seed < 60; seed++) {
    const run = await crashed(seed);
    expect(run.first).toBe(1);
    const second = run.sizeBytes === 4096 ? "dropped" : [...run.second].sort().join();
    outcomes.add(`page ${second}`);
    outcomes.add(`names ${run.names}`);
    expect(await crashed(seed)).toEqual(run);
  }
  expect([...outcomes].sort()).toEqual(["names a", "names a,b", "page 0", "page 0,2", "page 2", "page dropped"]);
});

test("after a failed sync the next one succeeds and the data is gone all the same", async () => {
  const fs = new SimFileSystem({ prng: seededPrng(1) });
  const file = await fs.open("/a", "create-exclusive");
  await file.write([page(1)], 0);
  await file.sync();
  await file.write([page(2)], 0);
  fs.inject = (call) => (call.operation === "sync" ? "EIO" : undefined);
  expect(await codeOf(file.sync())).toBe("EIO");
  fs.inject = undefined;
  await file.sync();
  const bytes = new Uint8Array(1);
  await file.read(bytes, 0);
  expect(bytes[0]).toBe(2);
  await file.dropCache();
  await file.read(bytes, 0);
  expect(bytes[0]).toBe(1);
});

test("a full disk takes what fits and says ENOSPC; a read-only one takes nothing", async () => {
  const fs = new SimFileSystem({ prng: seededPrng(1), capacityBytes: 6000 });
  const file = await fs.open("/a", "create-exclusive");
  expect(await codeOf(file.write([page(1), page(2)], 0))).toBe("ENOSPC");
  expect(await file.size()).toBe(6000);
  fs.readOnly = true;
  expect(await codeOf(file.write([page(1)], 0))).toBe("EROFS");
  expect(await codeOf(fs.open("/b", "create-exclusive"))).toBe("EROFS");
});

test("a killed process loses its handles and locks, and no data", async () => {
  const fs = new SimFileSystem({ prng: seededPrng(1) });
  const file = await fs.open("/a", "create-exclusive");
  await file.write([page(3)], 0);
  await fs.lock("/LOCK");
  expect(await codeOf(fs.lock("/LOCK"))).toBe("EWOULDBLOCK");
  fs.kill();
  expect(await codeOf(file.size())).toBe("ECRASHED");
  await fs.lock("/LOCK");
  const bytes = new Uint8Array(1);
  await (await fs.open("/a", "read")).read(bytes, 0);
  expect(bytes[0]).toBe(3);
});
