/** The binding of `couchestor_spdk.h`, run against the mock of the same calls over files; left out, and so reported, without a C compiler. */
import { afterAll, afterEach, beforeEach, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { seededPrng } from "@couchestor/common/runtime/prng.ts";
import { FakeClock } from "@couchestor/common/testing/fake-clock.ts";
import { type TempDir, tempDir } from "@couchestor/common/testing/temp-dir.ts";
import { fieldSizeBytes } from "../core/struct.ts";
import { startDriver } from "./driver.ts";
import { Namespace, parseNamespacePath } from "./namespace.ts";
import { commandMsMax } from "./queue.ts";
import { completionLayout, controllerInfo, namespaceInfoLayout, zoneAction } from "./structs.ts";
import golden from "./testdata/structs.json" with { type: "json" };
import { MockControllers, mockMissing } from "./testing/mock-controllers.ts";
import { parseZoneReport } from "./zones.ts";

const missing = mockMissing();
const why = missing === undefined ? "" : ` (${missing})`;
const mebibyte = 2 ** 20;
const clock = systemClock;
let dir: TempDir;
let mock: MockControllers;

beforeEach(async () => {
  dir = await tempDir("spdk");
  mock = new MockControllers(dir.path);
});
afterEach(async () => {
  mock.stop();
  await dir[Symbol.asyncDispose]();
});
afterAll(() => expect(missing === undefined || missing.length > 0).toBe(true));

const withMock = (name: string, run: () => Promise<void>) => test.skipIf(missing !== undefined)(`${name}${why}`, run);

async function plain(options: { sizeBytes?: number; depthMax?: number } = {}): Promise<Namespace> {
  await mock.addNamespace("mock-0", 1, options.sizeBytes ?? 8 * mebibyte);
  return Namespace.open(mock.start(), "mock-0/1", { clock, depthMax: options.depthMax ?? 16 });
}

async function codeOf(run: Promise<unknown>): Promise<string> {
  return run.then(
    () => "no error",
    (error: { code?: string }) => error.code ?? String(error),
  );
}

function layouts(): Record<string, unknown> {
  const described = [namespaceInfoLayout, completionLayout].map((layout) => {
    const fields = Object.entries(layout.fields).map(([name, { offset, type }]) => [
      name,
      [offset, fieldSizeBytes(type)],
    ]);
    return [layout.name, { sizeBytes: layout.sizeBytes, fields: Object.fromEntries(fields) }];
  });
  const { sizeBytes, transferBytesMax, ...rest } = controllerInfo;
  const fields = { ...rest, transfer_bytes_max: transferBytesMax };
  return Object.fromEntries([...described, ["cs_controller_info", { sizeBytes, fields }]]);
}

test("the structs are those of the golden file", () => {
  expect(layouts()).toEqual(golden as Record<string, unknown>);
});

withMock("the structs are those of the header, as the C compiler lays them out", async () => {
  const print = Object.entries(golden).map(([struct, { fields }]) => {
    const each = Object.keys(fields).map(
      (field) =>
        `printf("\\"${field}\\":[%zu,%zu],", offsetof(struct ${struct}, ${field}), sizeof(((struct ${struct} *)0)->${field}));`,
    );
    return `printf("\\"${struct}\\":{\\"sizeBytes\\":%zu,\\"fields\\":{", sizeof(struct ${struct})); ${each.join("")} printf("}},");`;
  });
  const source = join(dir.path, "layout.c");
  const program = join(dir.path, "layout");
  writeFileSync(
    source,
    `#include <stddef.h>\n#include <stdio.h>\n#include "couchestor_spdk.h"\nint main(void) { printf("{"); ${print.join("\n")} printf("}"); return 0; }\n`,
  );
  expect(spawnSync("cc", ["-I", import.meta.dir, "-o", program, source]).status).toBe(0);
  const text = spawnSync(program, { encoding: "utf8" }).stdout;
  expect(JSON.parse(text.replaceAll(",}", "}"))).toEqual(golden);
});

test("without SPDK the error says how to get it, and what to do without", () => {
  const before = process.env["COUCHESTOR_SPDK"];
  process.env["COUCHESTOR_SPDK"] = "/nowhere/libcouchestor_spdk.so.1";
  try {
    expect(() => startDriver("spdk", "")).toThrow(/does not exist.*build SPDK.*COUCHESTOR_SPDK.*libaio/s);
  } finally {
    if (before === undefined) delete process.env["COUCHESTOR_SPDK"];
    else process.env["COUCHESTOR_SPDK"] = before;
  }
});

test("what names no namespace is refused with what is allowed", () => {
  expect(parseNamespacePath("0000:5e:00.0/1")).toEqual({ address: "0000:5e:00.0", nsid: 1 });
  for (const bad of ["", "mock", "mock/0", "mock/x", "../a/1", "a b/1"])
    expect(() => parseNamespacePath(bad)).toThrow("allowed");
});

withMock("controllers are found without being taken, and a wrong option is told", async () => {
  await mock.addNamespace("0000:5e:00.0", 1, mebibyte);
  await mock.addNamespace("0000:5e:00.0", 2, mebibyte);
  expect(() => startDriver("spdk-mock", "folder=x")).toThrow('got "folder=x", allowed: dir=FOLDER');
  expect(mock.start().probe()).toEqual([
    {
      address: "0000:5e:00.0",
      serial: "MOCK-0000:5e:00.0",
      model: "CoucheStor mock",
      firmware: "1",
      namespaces: 2,
      transferBytesMax: 262_144,
    },
  ]);
});

withMock(
  "many writes and reads at once, larger than a command and than the queue, come back as they were",
  async () => {
    const namespace = await plain({ depthMax: 4 });
    const prng = seededPrng(7);
    const parts = Array.from({ length: 12 }, (_, i) => ({
      offset: i * 600 * 1024,
      bytes: prng.bytes((1 + (i % 9)) * 65_536),
    }));
    await Promise.all(
      parts.map(({ offset, bytes }) => namespace.write([bytes.subarray(0, 100), bytes.subarray(100)], offset)),
    );
    await namespace.flush();
    await Promise.all(
      parts.map(async ({ offset, bytes }) => {
        const back = new Uint8Array(bytes.byteLength);
        await namespace.read(back, offset);
        expect(Buffer.compare(back, bytes)).toBe(0);
      }),
    );
    await namespace.close();
    const file = readFileSync(join(dir.path, "mock-0/ns1"));
    for (const { offset, bytes } of parts)
      expect(file.subarray(offset, offset + bytes.byteLength).equals(bytes)).toBe(true);
  },
);

withMock("what lies outside of the namespace, or between blocks, is refused before the device sees it", async () => {
  const namespace = await plain();
  const block = new Uint8Array(4096);
  for (const offset of [-4096, 1, 8 * mebibyte]) {
    expect(await codeOf(namespace.read(block, offset))).toBe("EINVAL");
    expect(await codeOf(namespace.write([block], offset))).toBe("EINVAL");
  }
  expect(await codeOf(namespace.write([new Uint8Array(100)], 0))).toBe("EINVAL");
  await namespace.close();
});

withMock("a block that can't be read or written is an error of that block alone", async () => {
  const namespace = await plain();
  await mock.setBlocks("mock-0", 1, "bad", [[3, 1]]);
  await mock.setBlocks("mock-0", 1, "worn", [[5, 2]]);
  const block = new Uint8Array(4096);
  expect(await codeOf(namespace.read(block, 2 * 4096))).toBe("no error");
  expect(await codeOf(namespace.read(block, 3 * 4096))).toBe("ENODATA");
  expect(await codeOf(namespace.write([block], 6 * 4096))).toBe("EIO");
  expect(await codeOf(namespace.write([block], 7 * 4096))).toBe("no error");
  await expect(namespace.read(block, 3 * 4096)).rejects.toThrow("0x281: unrecovered read error");
  await namespace.close();
});

withMock(
  "a controller that is taken away: all that is under way and comes later is ENODEV; it can be opened when it is back",
  async () => {
    const namespace = await plain();
    const block = new Uint8Array(4096);
    const running = Array.from({ length: 20 }, (_, i) => codeOf(namespace.write([block], i * 4096)));
    await mock.setRemoved("mock-0", true);
    const codes = await Promise.all(running);
    expect(codes.every((code) => code === "ENODEV" || code === "no error")).toBe(true);
    expect(await codeOf(namespace.read(block, 0))).toBe("ENODEV");
    expect(() => namespace.checkPresent()).toThrow("removed");
    await namespace.close();
    expect(() => Namespace.open(mock.start(), "mock-0/1", { clock })).toThrow("ENODEV");
    await mock.setRemoved("mock-0", false);
    const again = Namespace.open(mock.start(), "mock-0/1", { clock });
    expect(await codeOf(again.read(block, 0))).toBe("no error");
    await again.close();
  },
);

withMock("a device that never answers is given up after a while, and its buffers are not used again", async () => {
  await mock.addNamespace("mock-0", 1, mebibyte);
  const fake = new FakeClock();
  const namespace = Namespace.open(mock.start(), "mock-0/1", { clock: fake });
  await mock.setSlow("mock-0", true);
  const reads = Array.from({ length: 3 }, () => codeOf(namespace.read(new Uint8Array(4096), 0)));
  let ended = false;
  const all = Promise.all(reads).finally(() => {
    ended = true;
  });
  for (let ms = 0; ms < commandMsMax + 1000 && !ended; ms += 500) {
    for (let turn = 0; turn < 450; turn++) await new Promise((resolve) => setImmediate(resolve));
    await fake.advance(500);
  }
  expect(await all).toEqual(["ENODEV", "ENODEV", "ENODEV"]);
  await mock.setSlow("mock-0", false);
  expect(await codeOf(namespace.read(new Uint8Array(4096), 0))).toBe("ENODEV");
  await namespace.close();
});

withMock("two namespaces share their controller; a second process is refused it", async () => {
  const first = await plain();
  await mock.addNamespace("mock-0", 2, mebibyte);
  const second = Namespace.open(mock.start(), "mock-0/2", { clock });
  const child = `
    import { startDriver } from ${JSON.stringify(join(import.meta.dir, "driver.ts"))};
    import { Namespace } from ${JSON.stringify(join(import.meta.dir, "namespace.ts"))};
    import { systemClock as clock } from ${JSON.stringify(join(import.meta.dir, "../../common/runtime/clock.ts"))};
    try { Namespace.open(startDriver("spdk-mock", ${JSON.stringify(`dir=${dir.path}`)}), "mock-0/1", { clock }); process.stdout.write("opened"); }
    catch (error) { process.stdout.write(error.code); }`;
  const attempt = () => Bun.spawnSync([process.execPath, "-e", child]).stdout.toString();
  expect(attempt()).toBe("EBUSY");
  await first.close();
  expect(attempt()).toBe("EBUSY");
  await second.close();
  expect(attempt()).toBe("opened");
});

withMock("the health page is the standard one", async () => {
  const namespace = await plain();
  const page = await namespace.healthPage();
  expect([page.byteLength, page[1], page[2], page[3]]).toEqual([512, 300 & 0xff, 300 >> 8, 100]);
  await namespace.close();
});

withMock(
  "zones: written at their pointers alone, appended to, finished, reset, and no more of them active than allowed",
  async () => {
    const zones = { zoneBlocks: 64, capacityBlocks: 48, openMax: 2, activeMax: 3 };
    await mock.addNamespace("zoned-0", 1, 8 * 64 * 4096, zones);
    const namespace = Namespace.open(mock.start(), "zoned-0/1", { clock });
    const zoneBytes = 64 * 4096;
    expect(namespace.info.zones).toMatchObject({ count: 8, zoneBytes, activeMax: 3, openMax: 2 });
    const bytes = seededPrng(3).bytes(4 * 4096);
    const report = async () => parseZoneReport(await namespace.zoneReport(0));
    await namespace.write([bytes], 0, true);
    expect(await codeOf(namespace.write([bytes], 0, true))).toBe("EIO");
    expect(await namespace.zoneAppend(bytes, 0)).toBe(4 * 4096);
    expect((await report())[0]).toEqual({ state: "open", startBlock: 0, capacityBlocks: 48, writePointerBlock: 8 });
    await namespace.write([bytes], zoneBytes, true);
    await namespace.write([bytes], 2 * zoneBytes, true);
    expect(await codeOf(namespace.write([bytes], 3 * zoneBytes, true))).toBe("EOVERFLOW");
    await namespace.zoneSend(zoneAction.finish, 0, "finish a zone");
    await namespace.write([bytes], 3 * zoneBytes, true);
    expect(await codeOf(namespace.zoneAppend(bytes, 0))).toBe("ENOSPC");
    expect((await report()).map(({ state }) => state).slice(0, 5)).toEqual(["full", "closed", "open", "open", "empty"]);
    await namespace.zoneSend(zoneAction.reset, zoneBytes, "reset a zone");
    expect((await report())[1]).toMatchObject({ state: "empty", writePointerBlock: 64 });
    const back = new Uint8Array(bytes.byteLength);
    await namespace.read(back, 2 * zoneBytes);
    expect(Buffer.compare(back, bytes)).toBe(0);
    await namespace.close();
  },
);
