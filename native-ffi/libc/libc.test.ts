import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { closeSync, fsyncSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createMemoryFile, fadviseDontNeed, findLibc, flockExclusive } from "./libc.ts";

let folder = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "couchestor-libc-"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("libc", () => {
  test("is found by an absolute path", () => {
    expect(findLibc()).toMatch(/^\/.*\/libc(\.so\.6|-2\.\d+\.so)$/);
    expect(findLibc("7f00-7f01 r-xp 00000000 00:00 1    /opt/lib/libc.so.6\n")).toBe("/opt/lib/libc.so.6");
  });
  test("an exclusive lock excludes another opening of the same file until it is closed", () => {
    const path = join(folder, "LOCK");
    const first = openSync(path, "w");
    const second = openSync(path, "w");
    expect(flockExclusive(first)).toBe(true);
    expect(flockExclusive(second)).toBe(false);
    closeSync(first);
    expect(flockExclusive(second)).toBe(true);
    closeSync(second);
    expect(() => flockExclusive(1_000_000)).toThrow("flock fd 1000000: EBADF");
  });
  test("cached pages can be given up, and the data stays", () => {
    const path = join(folder, "cached");
    writeFileSync(path, "kept");
    const fd = openSync(path, "r+");
    fsyncSync(fd);
    fadviseDontNeed(fd);
    closeSync(fd);
    expect(readFileSync(path, "utf8")).toBe("kept");
    expect(() => fadviseDontNeed(1_000_000)).toThrow("EBADF");
  });
  test("a file in memory takes bytes without any file system", () => {
    const fd = createMemoryFile("test");
    writeSync(fd, "in memory");
    expect(readFileSync(`/proc/self/fd/${fd}`, "utf8")).toBe("in memory");
    closeSync(fd);
  });
});
