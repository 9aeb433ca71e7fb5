import { expect, test } from "bun:test";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { IoErrorCounts } from "./io-errors.ts";

/** A device with state behind private fields, as the real ones have. */
class Device {
  #code: string | undefined;
  #reads = 0;
  readonly sizeBytes = 4096;

  fail(code: string | undefined): void {
    this.#code = code;
  }
  get reads(): number {
    return this.#reads;
  }
  async read(into: Uint8Array, offset: number): Promise<number> {
    this.#reads++;
    this.#check("read");
    into.fill(offset);
    return into.length;
  }
  async write(_buffers: readonly Uint8Array[], _offset: number): Promise<void> {
    this.#check("write");
  }
  async sync(): Promise<void> {
    this.#check("sync");
  }
  #check(operation: string): void {
    if (this.#code) throw new FileSystemError(this.#code, operation, "/dev/x");
  }
}

test("failures of the device are counted under its path, whatever opening they come by; its answers and errors stay as they are", async () => {
  const counts = new IoErrorCounts();
  expect(counts.of("/dev/x")).toBeUndefined();
  const bare = new Device();
  const device = counts.counting("/dev/x", bare);
  const into = new Uint8Array(4);
  expect(await device.read(into, 7)).toBe(4);
  expect([into[0], device.reads, device.sizeBytes, counts.of("/dev/x")]).toEqual([7, 1, 4096, 0]);
  bare.fail("EIO");
  await expect(device.read(into, 0)).rejects.toThrow("read /dev/x: EIO");
  await expect(device.write([], 0)).rejects.toThrow("EIO");
  await expect(counts.counting("/dev/x", new Device()).sync()).resolves.toBeUndefined();
  device.fail("ENODATA");
  await expect(device.sync()).rejects.toThrow("ENODATA");
  expect(counts.of("/dev/x")).toBe(3);
});

test("no space, a wrong call and a device that was pulled are no failures of the medium", async () => {
  const counts = new IoErrorCounts();
  const bare = new Device();
  const device = counts.counting("/dev/x", bare);
  for (const code of ["ENOSPC", "EINVAL", "ENODEV", "EBUSY"]) {
    bare.fail(code);
    expect(await device.sync().catch((error) => error.code)).toBe(code);
  }
  expect(counts.of("/dev/x")).toBe(0);
});
