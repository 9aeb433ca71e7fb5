/**
 * Zones as the kernel and the device really keep them: an NVMe zoned namespace, by append and by write, and a zoned null_blk, which is no NVMe.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { command } from "@couchestor/common/testing/lab.ts";
import { openZonedFile, type ZonedFile, type ZonedFileOptions } from "./zoned-file.ts";

const zoned = (name: string) => readFileSync(`/sys/block/${name}/queue/zoned`, "utf8").trim() === "host-managed";
const pattern = (length: number, seed: number) =>
  Uint8Array.from({ length }, (_, i) => (i * 31 + (i >> 9) * 7 + seed) & 0xff);
const codeOf = (run: Promise<unknown>) =>
  run.then(
    () => "no error",
    (error) => (error instanceof FileSystemError ? error.code : String(error)),
  );

/** Opens a device for one test; closed whatever becomes of it. */
async function using(path: string, options: ZonedFileOptions, run: (file: ZonedFile) => Promise<void>): Promise<void> {
  const file = await openZonedFile(path, options);
  try {
    await run(file);
  } finally {
    await file.close();
  }
}

let nvme = "";
let nullBlock = "";
beforeAll(() => {
  command(
    "modprobe",
    "null_blk",
    "zoned=1",
    "zone_size=4",
    "gb=1",
    "nr_devices=1",
    "memory_backed=1",
    "zone_nr_conv=2",
    "zone_max_active=6",
  );
  nvme = `/dev/${readdirSync("/sys/block").find((name) => name.startsWith("nvme") && zoned(name))}`;
  nullBlock = "/dev/nullb0";
});
afterAll(() => {
  command("rmmod", "null_blk");
});

const kinds: { name: string; path: () => string; options: ZonedFileOptions; writesBy: string }[] = [
  { name: "NVMe by append", path: () => nvme, options: {}, writesBy: "append" },
  { name: "NVMe by write", path: () => nvme, options: { writeBy: "write" }, writesBy: "write" },
  { name: "null_blk", path: () => nullBlock, options: {}, writesBy: "write" },
];

for (const { name, path, options, writesBy } of kinds) {
  describe(name, () => {
    /** All zones empty. */
    const fresh = (run: (file: ZonedFile) => Promise<void>) =>
      using(path(), options, async (file) => {
        expect(file.writesBy).toBe(writesBy);
        for (const [zone, { state }] of (await file.report()).entries())
          if (state === "active" || state === "full") await file.reset(zone);
        await run(file);
      });

    test("what is written at the write pointer is read back, in pieces of any length", async () => {
      const zone = 5;
      let offset = 0;
      await fresh(async (file) => {
        for (const [seed, length] of [4096, 12_288, 3 * 2 ** 20 + 4096, 8192].entries()) {
          const data = pattern(length, seed);
          await file.write(zone, [data.subarray(0, length / 2), data.subarray(length / 2)], offset);
          const back = new Uint8Array(length);
          await file.read(zone, back, offset);
          expect(Buffer.compare(back, data)).toBe(0);
          offset += length;
          expect((await file.report())[zone]).toMatchObject({ state: "active", writtenBytes: offset });
        }
        await file.sync();
      });
      await using(path(), options, async (file) => expect((await file.report())[zone]?.writtenBytes).toBe(offset));
    });

    test("a write that is not at the write pointer is refused", () =>
      fresh(async (file) => {
        await file.write(4, [pattern(8192, 1)], 0);
        for (const offset of [0, 16_384]) expect(await codeOf(file.write(4, [pattern(4096, 1)], offset))).toBe("EIO");
        const back = new Uint8Array(8192);
        await file.read(4, back, 0);
        expect(Buffer.compare(back, pattern(8192, 1))).toBe(0);
      }));

    test("a zone that is finished is full, keeps its data and takes no more; one that is reset is empty", () =>
      fresh(async (file) => {
        await file.write(4, [pattern(8192, 2)], 0);
        await file.finish(4);
        const full = (await file.report())[4];
        expect(full).toMatchObject({ state: "full" });
        expect(full?.writtenBytes).toBe(full?.capacityBytes ?? -1);
        expect(await codeOf(file.write(4, [pattern(4096, 2)], 8192))).toBe("EIO");
        const back = new Uint8Array(8192);
        await file.read(4, back, 0);
        expect(Buffer.compare(back, pattern(8192, 2))).toBe(0);
        await file.reset(4);
        expect((await file.report())[4]).toMatchObject({ state: "empty", writtenBytes: 0 });
      }));

    test("a zone beyond the limit of active ones is refused; finishing another makes room", () =>
      fresh(async (file) => {
        const limit = file.activeZonesMax ?? 0;
        expect(limit).toBeGreaterThan(3);
        const first = 6;
        for (let i = 0; i < limit; i++) await file.write(first + i, [pattern(4096, i)], 0);
        expect(await codeOf(file.write(first + limit, [pattern(4096, 9)], 0))).toBe("EOVERFLOW");
        await file.finish(first);
        await file.write(first + limit, [pattern(4096, 9)], 0);
      }));

    test("a second user is refused", () =>
      fresh(async () => expect(await codeOf(openZonedFile(path(), options))).toBe("EBUSY")));
  });
}

test("what the report says is what blkzone says", async () => {
  let zones: Awaited<ReturnType<ZonedFile["report"]>> = [];
  await using(nvme, {}, async (file) => {
    await file.reset(3);
    await file.write(3, [pattern(40_960, 3)], 0);
    zones = await file.report();
  });
  const lines = command("blkzone", "report", nvme).trim().split("\n");
  expect(zones.length).toBe(lines.length);
  for (const [i, line] of lines.entries()) {
    const field = (name: RegExp) => Number.parseInt(name.exec(line)?.[1] ?? "", 16) * 512;
    expect(zones[i]).toMatchObject({
      startBytes: field(/start: 0x(\w+)/),
      lengthBytes: field(/len 0x(\w+)/),
      capacityBytes: field(/cap 0x(\w+)/),
    });
    if (zones[i]?.state === "active") expect(zones[i]?.writtenBytes).toBe(field(/wptr 0x(\w+)/));
  }
  expect(zones[3]).toMatchObject({ state: "active", writtenBytes: 40_960 });
});

test("null_blk's conventional zones are told apart, and append is refused where there is none", async () => {
  await using(nullBlock, {}, async (file) => {
    const states = (await file.report()).map(({ state }) => state);
    expect(states.slice(0, 2)).toEqual(["conventional", "conventional"]);
    expect(states.slice(2)).not.toContain("conventional");
  });
  await expect(openZonedFile(nullBlock, { writeBy: "append" })).rejects.toThrow("has no zone append");
});

test("a disk without zones is refused", async () => {
  const plain = readdirSync("/sys/block").find((name) => name.startsWith("nvme") && !zoned(name));
  await expect(openZonedFile(`/dev/${plain}`)).rejects.toThrow("it is not a zoned device");
});

test("the event loop runs on while the device is written", () =>
  using(nvme, {}, async (file) => {
    await file.reset(9);
    let turns = 0;
    let done = false;
    const writing = file.write(9, [new Uint8Array(8 * 2 ** 20).fill(4)], 0).finally(() => {
      done = true;
    });
    while (!done) {
      turns++;
      await new Promise((resolve) => setImmediate(resolve));
    }
    await writing;
    expect(turns).toBeGreaterThan(2);
  }));
