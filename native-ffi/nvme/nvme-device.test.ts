import { describe, expect, test } from "bun:test";
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { fieldSizeBytes, type StructLayout } from "../core/struct.ts";
import { sgIoLayout } from "../scsi/structs.ts";
import type { Libnvme } from "./libnvme.ts";
import { openNvme } from "./nvme-device.ts";
import { NvmeStatusError } from "./status.ts";
import { nvmeGetLogLayout, nvmeIdentifyLayout, nvmePassthruLayout } from "./structs.ts";
import golden from "./testdata/structs.json" with { type: "json" };
import { FakeNvme } from "./testing/fake-nvme.ts";

function describeLayout(layout: StructLayout<string>): unknown {
  const fields = Object.entries(layout.fields).map(([name, f]) => [name, [f.offset, fieldSizeBytes(f.type)]]);
  return { sizeBytes: layout.sizeBytes, fields: Object.fromEntries(fields) };
}

/** The layouts as the C compiler sees them in a header; undefined without the compiler or the header. */
function compiledLayouts(header: string, layouts: StructLayout<string>[]): unknown {
  if (!existsSync(`/usr/include/${header}`)) return undefined;
  const folder = mkdtempSync(join(tmpdir(), "couchestor-nvme-struct-"));
  try {
    const print = layouts.map((layout) => {
      const fields = Object.keys(layout.fields).map(
        (f) =>
          `printf("\\"${f}\\":[%zu,%zu],", offsetof(struct ${layout.name}, ${f}), sizeof(((struct ${layout.name} *)0)->${f}));`,
      );
      return `printf("\\"${layout.name}\\":{\\"sizeBytes\\":%zu,\\"fields\\":{", sizeof(struct ${layout.name})); ${fields.join("")} printf("}},");`;
    });
    const source = `#include <stddef.h>\n#include <stdio.h>\n#include <${header}>\nint main(void) { printf("{"); ${print.join("\n")} printf("}"); }\n`;
    writeFileSync(join(folder, "layout.c"), source);
    if (spawnSync("cc", ["-o", join(folder, "layout"), join(folder, "layout.c")]).status !== 0) return undefined;
    return JSON.parse(spawnSync(join(folder, "layout"), { encoding: "utf8" }).stdout.replaceAll(",}", "}"));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

describe("struct layouts of device administration", () => {
  const byHeader: Record<string, StructLayout<string>[]> = {
    "linux/nvme_ioctl.h": [nvmePassthruLayout],
    "scsi/sg.h": [sgIoLayout],
    "libnvme.h": [nvmeGetLogLayout, nvmeIdentifyLayout],
  };
  const all = Object.values(byHeader).flat();
  test("are those of the golden file", () => {
    expect(Object.fromEntries(all.map((layout) => [layout.name, describeLayout(layout)])) as unknown).toEqual(golden);
  });
  test.each(Object.entries(byHeader))("are those of offsetof in <%s>", (header, layouts) => {
    const compiled = compiledLayouts(header, layouts);
    if (compiled === undefined)
      process.stderr.write(`skipped: layouts against <${header}> (no cc, or not installed)\n`);
    else
      expect(compiled).toEqual(
        Object.fromEntries(layouts.map(({ name }) => [name, golden[name as keyof typeof golden]])),
      );
  });
});

describe("NVMe by ioctl", () => {
  test("a log page of several pieces is asked for piece by piece, with lengths in dwords counted from 0", () => {
    const system = new FakeNvme();
    const page = Uint8Array.from({ length: 8196 }, (_, i) => i % 251);
    system.pages.set(2, page);
    const device = openNvme("/dev/nvme0", { system, timeoutMs: 1234 });
    expect(device.via).toBe("ioctl");
    expect(Buffer.compare(device.logPage({ page: 2, bytes: 8196 }), page)).toBe(0);
    const sent = system.commands.map(({ opcode, nsid, cdw10, cdw11, cdw12, timeoutMs }) => [
      opcode,
      nsid,
      cdw10,
      cdw11,
      cdw12,
      timeoutMs,
    ]);
    expect(sent).toEqual([
      [2, 0xffffffff, 2 + 1023 * 65536, 0, 0, 1234],
      [2, 0xffffffff, 2 + 1023 * 65536, 0, 4096, 1234],
      [2, 0xffffffff, 2, 0, 8192, 1234],
    ]);
    device.close();
    device.close();
    expect(system.openCount).toBe(0);
    expect(() => device.logPage({ page: 2, bytes: 4 })).toThrow("EBADF");
  });
  test("identify carries the command set in the top byte", () => {
    const system = new FakeNvme();
    system.identities.set(5, new Uint8Array(4096).fill(9));
    expect(openNvme("/dev/nvme0n1", { system }).identify({ cns: 5, nsid: 3, csi: 2 })[4095]).toBe(9);
    expect(system.commands[0]).toMatchObject({ opcode: 6, nsid: 3, cdw10: 5, cdw11: 0x0200_0000 });
  });
  test("what a controller does not have is told apart from what failed", () => {
    const device = openNvme("/dev/nvme0", { system: new FakeNvme() });
    const refused = (): unknown => {
      try {
        return device.logPage({ page: 6, bytes: 564 });
      } catch (error) {
        return error;
      }
    };
    expect(refused()).toBeInstanceOf(NvmeStatusError);
    expect(refused()).toMatchObject({ isUnsupported: true, status: 2 });
    expect(new NvmeStatusError("x", "y", 0x4281)).toMatchObject({ isUnsupported: false, status: 0x281 });
    expect(String(new NvmeStatusError("get log page 2", "/dev/nvme0", 0x4109))).toContain(
      "invalid log page (NVMe status 0x109)",
    );
  });
  test("senseless lengths are refused before the device is asked", () => {
    const system = new FakeNvme();
    const device = openNvme("/dev/nvme0", { system });
    for (const bytes of [0, 3, 6, 65_540, 1.5])
      expect(() => device.logPage({ page: 2, bytes })).toThrow("allowed: a multiple of 4");
    expect(system.commands).toEqual([]);
    expect(() => device.namespaceId()).toThrow("ENOTTY");
    expect(() => openNvme(join(tmpdir(), "absent-nvme"))).toThrow("ENOENT");
  });
});

describe("NVMe by libnvme", () => {
  function systemWith(fail: Error | undefined): { system: FakeNvme; calls: string[] } {
    const calls: string[] = [];
    const answer = (call: string, into: Uint8Array): void => {
      calls.push(call);
      if (fail) throw fail;
      into.fill(1);
    };
    const libnvme: Libnvme = {
      description: "libnvme 1.3",
      identify: (_to, { cns }, into) => answer(`identify ${cns}`, into),
      getLog: (_to, { page, offset }, into) => answer(`log ${page} at ${offset}`, into),
    };
    const system = new FakeNvme();
    system.libnvme = libnvme;
    system.pages.set(2, new Uint8Array(512).fill(2));
    return { system, calls };
  }
  test("is asked where it is installed", () => {
    const { system, calls } = systemWith(undefined);
    const device = openNvme("/dev/nvme0", { system });
    expect([device.via, device.logPage({ page: 2, bytes: 512 })[0]]).toEqual(["libnvme", 1]);
    expect([calls, system.commands]).toEqual([["log 2 at 0"], []]);
  });
  test("one of another generation, which takes no arguments of ours, gives way to the ioctl", () => {
    const { system, calls } = systemWith(new FileSystemError("EINVAL", "get log page 2", "/dev/nvme0"));
    const device = openNvme("/dev/nvme0", { system });
    expect(device.logPage({ page: 2, bytes: 512 })[0]).toBe(2);
    expect(device.logPage({ page: 2, bytes: 512 })[0]).toBe(2);
    expect([device.via, calls.length, system.commands.length]).toEqual(["ioctl", 1, 2]);
  });
  test("what the device refuses, or an error of the system, is not asked twice", () => {
    for (const error of [new NvmeStatusError("x", "y", 2), new FileSystemError("ENODEV", "x", "y")]) {
      const { system } = systemWith(error);
      expect(() => openNvme("/dev/nvme0", { system }).logPage({ page: 2, bytes: 512 })).toThrow(error);
      expect(system.commands).toEqual([]);
    }
  });
});
