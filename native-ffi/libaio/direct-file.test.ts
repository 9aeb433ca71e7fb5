import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { alignedBytes } from "../core/memory.ts";
import { AioQueue, aioAvailable } from "./aio.ts";
import { alignmentBytes, type DirectFile, openDirectFile, operationBytesMax } from "./direct-file.ts";

const { available, why } = aioAvailable();
if (!available) process.stderr.write(`skipped: tests of libaio (${why})\n`);

const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 9) * 7 + seed) & 0xff);
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => "no error",
    (error) => (error instanceof FileSystemError ? error.code : String(error)),
  );

let folder = "";
beforeAll(() => {
  // The checkout's own file system: the temporary folder is often one without O_DIRECT.
  folder = mkdtempSync(join(import.meta.dir, ".direct-file-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function withFile(
  name: string,
  bytes: Uint8Array,
  run: (file: DirectFile, path: string) => Promise<void>,
): Promise<void> {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  const file = await openDirectFile(path, { depthMax: 4 });
  try {
    await run(file, path);
  } finally {
    await file.close();
  }
}

describe.skipIf(!available)("direct file", () => {
  test("writes from aligned, unaligned and several buffers, and reads the same back", async () => {
    await withFile("write", new Uint8Array(0), async (file, path) => {
      const aligned = alignedBytes(2 * operationBytesMax + 8192);
      aligned.set(pattern(aligned.length, 1));
      await file.write([aligned], 0);
      const parts = [pattern(100, 2), pattern(operationBytesMax, 3), pattern(8192 - 100, 4)];
      await file.write(parts, aligned.length);
      await file.sync();
      const expected = Buffer.concat([aligned, ...parts]);
      expect(Buffer.compare(readFileSync(path), expected)).toBe(0);
      const back = new Uint8Array(expected.length);
      expect(await file.read(back, 0)).toBe(expected.length);
      expect(Buffer.compare(back, expected)).toBe(0);
    });
  });

  test("reads any range, and says how much there was at the end of the file", async () => {
    const bytes = pattern(3 * operationBytesMax + 777, 5);
    await withFile("read", bytes, async (file) => {
      expect(file.sizeBytes).toBe(bytes.length);
      for (const [offset, length] of [
        [0, 1],
        [4095, 2],
        [operationBytesMax - 3, 7],
        [1, 2 * operationBytesMax],
        [bytes.length - 1, 1],
      ] as const) {
        const into = new Uint8Array(length);
        expect(await file.read(into, offset)).toBe(length);
        expect(Buffer.compare(into, bytes.subarray(offset, offset + length))).toBe(0);
      }
      expect(await file.read(new Uint8Array(5000), bytes.length - 100)).toBe(100);
      expect(await file.read(alignedBytes(8192), 3 * operationBytesMax)).toBe(777);
      expect(await file.read(new Uint8Array(10), bytes.length + 10_000)).toBe(0);
      expect(await file.read(new Uint8Array(0), 0)).toBe(0);
    });
  });

  test("many more operations than the depth all finish, each with its own bytes", async () => {
    const blocks = 300;
    await withFile("many", pattern(blocks * alignmentBytes, 6), async (file) => {
      const expected = pattern(blocks * alignmentBytes, 6);
      await Promise.all(
        Array.from({ length: blocks }, async (_, i) => {
          const into = new Uint8Array(alignmentBytes);
          await file.read(into, i * alignmentBytes);
          expect(Buffer.compare(into, expected.subarray(i * alignmentBytes, (i + 1) * alignmentBytes))).toBe(0);
        }),
      );
    });
  });

  test("several files at once, each with more than its depth", async () => {
    const names = ["one", "two", "three", "four", "five", "six"];
    const opened = await Promise.all(
      names.map(async (name, i) => {
        writeFileSync(join(folder, name), pattern(40 * alignmentBytes, i));
        return openDirectFile(join(folder, name), { depthMax: 2 });
      }),
    );
    await Promise.all(
      opened.flatMap((file, i) =>
        Array.from({ length: 40 }, async (_, block) => {
          const into = new Uint8Array(alignmentBytes);
          expect(await file.read(into, block * alignmentBytes)).toBe(alignmentBytes);
          const at = block * alignmentBytes;
          expect(Buffer.compare(into, pattern(40 * alignmentBytes, i).subarray(at, at + alignmentBytes))).toBe(0);
        }),
      ),
    );
    await Promise.all(opened.map((file) => file.close()));
  });

  test("the event loop runs on while the kernel works", async () => {
    await withFile("loop", pattern(8 * operationBytesMax, 7), async (file) => {
      let turns = 0;
      let done = false;
      const reading = file.read(new Uint8Array(8 * operationBytesMax), 0).then(() => {
        done = true;
      });
      while (!done) {
        turns++;
        await new Promise((resolve) => setImmediate(resolve));
      }
      await reading;
      expect(turns).toBeGreaterThan(1);
    });
  });

  test("close waits for what is under way; afterwards everything is refused", async () => {
    await withFile("close", pattern(4 * operationBytesMax, 8), async (file) => {
      const into = new Uint8Array(4 * operationBytesMax);
      const reading = file.read(into, 0);
      await Promise.resolve();
      await file.close();
      await file.close();
      const got = await codeOf(reading);
      expect(["no error", "EBADF"]).toContain(got);
      expect(await codeOf(file.read(new Uint8Array(1), 0))).toBe("EBADF");
      expect(await codeOf(file.sync())).toBe("EBADF");
    });
  });

  test("misaligned writes and senseless offsets are refused before anything is written", async () => {
    await withFile("refuse", pattern(8192, 9), async (file, path) => {
      await expect(file.write([new Uint8Array(100)], 0)).rejects.toThrow(
        "got 100 bytes at 0; allowed: multiples of 4096",
      );
      await expect(file.write([new Uint8Array(4096)], 512)).rejects.toThrow("allowed: multiples of 4096");
      await expect(file.read(new Uint8Array(1), -1)).rejects.toThrow("offset: got -1");
      expect(Buffer.compare(readFileSync(path), pattern(8192, 9))).toBe(0);
    });
  });

  test("what cannot be opened is an error with the system's code", async () => {
    expect(await codeOf(openDirectFile(join(folder, "absent")))).toBe("ENOENT");
    expect(await codeOf(openDirectFile(folder))).toBe("EISDIR");
    writeFileSync(join(folder, "exists"), "");
    expect(await codeOf(openDirectFile(join(folder, "exists"), { create: true }))).toBe("EEXIST");
    await expect(openDirectFile(join(folder, "exists"), { depthMax: 0 })).rejects.toThrow(
      "depthMax: got 0; allowed: 1 to 1024",
    );
  });

  test("the kernel's refusal of a descriptor reaches the caller, and a closed queue takes nothing", async () => {
    const queue = new AioQueue(2);
    expect(await codeOf(queue.submit("read", 1_000_000, "nothing", alignedBytes(4096), 0))).toBe("EBADF");
    expect(queue.inFlight).toBe(0);
    // What can't be asked for is refused, and holds up nothing behind it.
    expect(await codeOf(queue.submit("read", 0, "empty", new Uint8Array(0), 0))).toBe("EINVAL");
    expect(await codeOf(queue.submit("write", 0, "offset", alignedBytes(4096), 2 ** 60))).toBe("EINVAL");
    expect(await codeOf(queue.submit("read", 1_000_000, "nothing", alignedBytes(4096), 0))).toBe("EBADF");
    expect(queue.inFlight).toBe(0);
    await queue.close();
    expect(await codeOf(queue.submit("read", 0, "closed", alignedBytes(4096), 0))).toBe("EBADF");
  });
});

/** A loop device over a file of 4 MiB, where root may make one. */
function loopDevice(path: string): string | undefined {
  writeFileSync(path, "");
  truncateSync(path, 4 * 1024 * 1024);
  const made = spawnSync("losetup", ["--find", "--show", path], { encoding: "utf8" });
  return made.status === 0 ? made.stdout.trim() : undefined;
}

const loopFolder = mkdtempSync(join(tmpdir(), "couchestor-loop-"));
const device = available ? loopDevice(join(loopFolder, "image")) : undefined;
afterAll(() => {
  if (device !== undefined) spawnSync("losetup", ["--detach", device]);
  rmSync(loopFolder, { recursive: true, force: true });
});

describe.skipIf(device === undefined)(
  "block device (needs libaio, losetup, root and a kernel with loop devices)",
  () => {
    test("has the size of its file, keeps what is written, and refuses a second user", async () => {
      const file = await openDirectFile(device as string);
      expect(file.isBlockDevice).toBe(true);
      expect(file.sizeBytes).toBe(4 * 1024 * 1024);
      expect(await codeOf(openDirectFile(device as string))).toBe("EBUSY");
      await file.write([pattern(8192, 10)], 12_288);
      await file.sync();
      const into = new Uint8Array(8192);
      expect(await file.read(into, 12_288)).toBe(8192);
      expect(Buffer.compare(into, pattern(8192, 10))).toBe(0);
      expect(await codeOf(file.write([new Uint8Array(4096)], 4 * 1024 * 1024))).toBe("ENOSPC");
      await file.close();
    });
  },
);
