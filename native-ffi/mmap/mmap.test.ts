import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { mapFile } from "./mmap.ts";

let folder = "";
let path = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "couchestor-mmap-"));
  path = join(folder, "file");
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("mapped file", () => {
  test("shows the file's bytes, and the file gets what is written", () => {
    writeFileSync(path, Buffer.alloc(10_000, 1));
    const mapped = mapFile(path, { writable: true });
    expect(mapped.lengthBytes).toBe(10_000);
    mapped.view(4090, 10).fill(9);
    mapped.sync(4090, 10);
    mapped.advise(0, 10_000, "dontNeed");
    expect([...mapped.view(4088, 4)]).toEqual([1, 1, 9, 9]);
    mapped.close();
    expect([...readFileSync(path).subarray(4098, 4102)]).toEqual([9, 9, 1, 1]);
  });
  test("refuses whatever is outside", () => {
    writeFileSync(path, Buffer.alloc(5000));
    const mapped = mapFile(path);
    for (const [start, length] of [
      [0, 5001],
      [5000, 1],
      [-1, 1],
      [0.5, 1],
      [0, -1],
    ] as const) {
      expect(() => mapped.view(start, length)).toThrow("allowed: within 0 to 5000");
      expect(() => mapped.sync(start, length)).toThrow("allowed: within 0 to 5000");
    }
    mapped.close();
    expect(() => mapFile(path, { lengthBytes: 5001 })).toThrow("allowed: 1 to 5000");
    writeFileSync(path, "");
    expect(() => mapFile(path)).toThrow("lengthBytes");
  });
  test("a view is empty once the mapping is closed, and closing again does nothing", () => {
    writeFileSync(path, Buffer.alloc(5000, 3));
    const mapped = mapFile(path);
    const view = mapped.view(0, 100);
    expect(view[99]).toBe(3);
    mapped.close();
    mapped.close();
    Bun.gc(true);
    expect(view.length).toBe(0);
    expect(() => mapped.view(0, 1)).toThrow("EBADF");
  });
});
