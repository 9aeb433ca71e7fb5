import { describe, expect, test } from "bun:test";
import { openScsi } from "./scsi-device.ts";
import { ataRegistersOf, parseSense, ScsiError } from "./sense.ts";
import { FakeScsi } from "./testing/fake-scsi.ts";

const smartStatus = { command: 0xb0, features: 0xda, count: 0, lba: 0xc24f00, bytes: 0 };
/** Descriptor sense data with the registers of an ATA disk: LBA middle and high, status, error. */
const ataSense = (mid: number, high: number, status = 0x50, error = 0): Uint8Array =>
  Uint8Array.of(0x72, 1, 0, 0x1d, 0, 0, 0, 14, 9, 12, 0, error, 0, 0, 0, 0, 0, mid, 0, high, 0, status);

function thrown(run: () => unknown): ScsiError {
  try {
    run();
  } catch (error) {
    if (error instanceof ScsiError) return error;
  }
  throw new Error("no ScsiError");
}

describe("SCSI administration", () => {
  test("INQUIRY and its pages are cut to what the device says and sends", () => {
    const system = new FakeScsi();
    system.inquiry = Uint8Array.of(0, 0, 5, 2, 31, ...Buffer.from("\0\0\0ATA     MODEL           REV "));
    system.vpd.set(0x80, Uint8Array.of(0, 0x80, 0, 4, 65, 66, 67, 68, 99, 99));
    const device = openScsi("/dev/sda", { system });
    expect(Buffer.from(device.inquiry().subarray(8, 16)).toString()).toBe("ATA     ");
    expect(device.inquiry().length).toBe(36);
    expect([...device.inquiry(0x80)]).toEqual([0, 0x80, 0, 4, 65, 66, 67, 68]);
    expect(thrown(() => device.inquiry(0xb6)).isUnsupported).toBe(true);
    system.missingBytes = 3;
    expect(device.inquiry(0x80).length).toBe(7);
  });
  test("LOG SENSE asks for the header first, then for what it says; a disk without it is not a broken one", () => {
    const system = new FakeScsi();
    const device = openScsi("/dev/sda", { system });
    expect(thrown(() => device.logSense(0x0d))).toMatchObject({ isUnsupported: true, sense: { key: 5, code: 0x2000 } });
    system.logs = new Map([[0x0d, Uint8Array.of(0x0d, 0, 0, 6, 0, 0, 3, 2, 0, 38)]]);
    system.commands.length = 0;
    expect(device.logSense(0x0d).length).toBe(10);
    expect(system.commands.map((cdb) => [cdb[2], (cdb[7] ?? 0) * 256 + (cdb[8] ?? 0)])).toEqual([
      [0x4d, 4],
      [0x4d, 10],
    ]);
  });
  test("ATA pass-through: the 16 bytes for reading a sector, also with 48-bit fields", () => {
    const system = new FakeScsi();
    system.ata = new Map([
      ["b0.d0.c24f00", new Uint8Array(512).fill(7)],
      ["2f.0.304", new Uint8Array(512).fill(8)],
    ]);
    const device = openScsi("/dev/sda", { system });
    expect(device.ataRead({ command: 0xb0, features: 0xd0, count: 1, lba: 0xc24f00, bytes: 512 })[511]).toBe(7);
    expect(device.ataRead({ command: 0x2f, features: 0, count: 1, lba: 0x304, bytes: 512, extended: true })[0]).toBe(8);
    expect(system.commands.map((cdb) => Buffer.from(cdb).toString("hex"))).toEqual([
      "85080e00d00001000000" + "4f00c200b000",
      "85090e00000001000400" + "030000002f00",
    ]);
    expect(
      thrown(() => device.ataRead({ command: 0x2f, features: 0, count: 1, lba: 9, bytes: 512 })).isUnsupported,
    ).toBe(true);
  });
  test("the registers come out of the sense data, of good, failing and unhelpful bridges", () => {
    const system = new FakeScsi();
    system.ata = new Map();
    const device = openScsi("/dev/sda", { system });
    system.ataStatusSense = ataSense(0x4f, 0xc2);
    expect(device.ataRegisters(smartStatus)).toMatchObject({ lba: 0xc24f00, status: 0x50 });
    system.ataStatusSense = ataSense(0xf4, 0x2c);
    expect(device.ataRegisters(smartStatus)?.lba).toBe(0x2cf400);
    system.ataStatusSense = Uint8Array.of(0x70, 0, 1, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0, 0x1d);
    expect(device.ataRegisters(smartStatus)).toBeUndefined();
    system.ataStatusSense = ataSense(0, 0, 0x51, 4);
    expect(() => device.ataRegisters(smartStatus)).toThrow(ScsiError);
    expect(system.commands[0]?.[2]).toBe(0x20);
  });
  test("a disk that the adapter no longer reaches is gone, and one that timed out is not", () => {
    const system = new FakeScsi();
    const device = openScsi("/dev/sda", { system });
    system.hostStatus = 1;
    expect(thrown(() => device.inquiry())).toMatchObject({ isGone: true, isUnsupported: false });
    system.hostStatus = 3;
    expect(thrown(() => device.inquiry()).message).toContain("the command timed out (host status 0x03)");
    expect(thrown(() => device.inquiry()).isGone).toBe(false);
  });
});

test("sense data in both formats, and bytes that are none", () => {
  expect(parseSense(Uint8Array.of(0x70, 0, 3, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x11, 4))).toEqual({ key: 3, code: 0x1104 });
  expect(parseSense(Uint8Array.of(0x72, 4, 0x44, 1))).toEqual({ key: 4, code: 0x4401 });
  expect(parseSense(new Uint8Array(0))).toBeUndefined();
  expect(ataRegistersOf(new Uint8Array(64))).toBeUndefined();
  expect(ataRegistersOf(ataSense(1, 2).subarray(0, 15))).toBeUndefined();
  const error = new ScsiError("READ", "/dev/sda", {
    status: 2,
    hostStatus: 0,
    driverStatus: 0,
    sense: { key: 3, code: 0x1100 },
  });
  expect(error.message).toBe("READ /dev/sda: medium error (sense 0x3, code 0x1100)");
});
