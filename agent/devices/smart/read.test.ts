import { describe, expect, test } from "bun:test";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { openNvme } from "@couchestor/native-ffi/nvme/nvme-device.ts";
import { FakeNvme } from "@couchestor/native-ffi/nvme/testing/fake-nvme.ts";
import { openScsi } from "@couchestor/native-ffi/scsi/scsi-device.ts";
import { ScsiError } from "@couchestor/native-ffi/scsi/sense.ts";
import { FakeScsi } from "@couchestor/native-ffi/scsi/testing/fake-scsi.ts";
import { readDeviceHealth } from "./device-adapter.ts";
import { isBehindAta, readAtaHealth } from "./read-ata.ts";
import { readNvmeHealth } from "./read-nvme.ts";
import { readScsiHealth } from "./read-scsi.ts";
import { type SmartReadError, smartReadError } from "./smart-reader.ts";
import { golden } from "./testing/pages.ts";

const ones = new Uint8Array(512).fill(0xff);
/** SMART RETURN STATUS of a disk that says it is about to fail. */
const failingStatus = Uint8Array.of(0x72, 1, 0, 0x1d, 0, 0, 0, 14, 9, 12, 0, 0, 0, 0, 0, 0, 0, 0xf4, 0, 0x2c, 0, 0x50);

describe("reading NVMe", () => {
  const read = (page: Uint8Array | undefined) => {
    const system = new FakeNvme();
    if (page) system.pages.set(2, page);
    return readNvmeHealth(openNvme("/dev/nvme0", { system }));
  };
  test("a good page gives its figures", () => {
    expect(read(golden("nvmeHealth"))).toMatchObject({
      passed: true,
      temperatureCelsius: 50,
      notReported: [],
      problems: [],
    });
  });
  test("a controller without the page, and one that answers only ones, give no figures and no alarm", () => {
    expect(read(undefined)).toEqual({ protocol: "nvme", warnings: [], notReported: ["health page"], problems: [] });
    expect(read(ones)).toEqual({
      protocol: "nvme",
      warnings: [],
      notReported: [],
      problems: ["NVMe health page: nothing but ones came: the device does not answer properly"],
    });
  });
});

describe("reading ATA", () => {
  const disk = (pages: Record<string, Uint8Array>): FakeScsi => {
    const system = new FakeScsi();
    system.inquiry = golden("ataInquiry");
    system.ata = new Map(Object.entries(pages));
    return system;
  };
  const read = (system: FakeScsi) => readAtaHealth(openScsi("/dev/sda", { system }));
  test("an old disk: identity, attributes and status; it has no statistics, and that is no problem", () => {
    const system = disk({
      "ec.0.0": golden("ataIdentify"),
      "b0.d0.c24f00": golden("ataAttributes"),
      "b0.d1.c24f00": golden("ataThresholds"),
    });
    expect(read(system)).toEqual({
      protocol: "ata",
      warnings: [],
      temperatureCelsius: 31,
      reallocatedSectors: 0,
      powerOnHours: 1,
      powerCycles: 0,
      notReported: ["status", "device statistics"],
      problems: [],
    });
  });
  test("a dying solid state disk: the standard's statistics go before attributes, each page on its own", () => {
    const system = disk({
      "ec.0.0": golden("ataIdentifySsd"),
      "b0.d0.c24f00": golden("ataAttributesFailing"),
      "b0.d1.c24f00": golden("ataThresholdsFailing"),
      "2f.0.4": golden("ataStatistics0"),
      "2f.0.104": golden("ataStatistics1"),
      "2f.0.304": golden("ataStatistics3"),
      "2f.0.404": ones,
      "2f.0.504": golden("ataStatistics5"),
      "2f.0.704": golden("ataStatistics7"),
    });
    system.ataStatusSense = failingStatus;
    const reading = read(system);
    expect(reading).toMatchObject({
      passed: false,
      powerOnHours: 30_001,
      reallocatedSectors: 17,
      pendingSectors: 24,
      mediaErrors: 141,
      temperatureCelsius: -5,
      wearRatio: 1.12,
      notReported: [],
    });
    expect(reading.warnings.map(({ code, level }) => `${code} ${level}`)).toEqual([
      "status failing",
      "attribute-5 failing",
      "attribute-231 failing",
    ]);
    expect(reading.problems).toEqual([
      "ATA device statistics page 4: nothing but ones came: the device does not answer properly",
    ]);
  });
  test("heat at its threshold wears a disk, whatever its flags say", () => {
    const [data, limits] = [golden("ataAttributes"), golden("ataThresholds")];
    const at = (bytes: Uint8Array, id: number): number =>
      2 + 12 * Array.from({ length: 30 }, (_, i) => bytes[2 + 12 * i]).indexOf(id);
    data[at(data, 190) + 3] = 40;
    for (const bytes of [data, limits]) bytes[511] = 0;
    for (const bytes of [data, limits]) bytes[511] = -bytes.reduce((sum, byte) => sum + byte, 0) & 0xff;
    const { warnings } = read(disk({ "ec.0.0": golden("ataIdentify"), "b0.d0.c24f00": data, "b0.d1.c24f00": limits }));
    expect(warnings).toEqual([
      { code: "attribute-190", text: "attribute 190 is at 40, at or below its threshold of 50", level: "wearing" },
    ]);
  });
  test("without SMART, or with SMART switched off, nothing is invented", () => {
    const identity = golden("ataIdentifySsd");
    identity[82 * 2] = 0;
    identity[511] = 0;
    identity[511] = -identity.reduce((sum, byte) => sum + byte, 0) & 0xff;
    expect(read(disk({ "ec.0.0": identity }))).toMatchObject({
      warnings: [],
      notReported: ["SMART", "device statistics"],
    });
    const off = golden("ataIdentify");
    off[85 * 2] = 0;
    expect(read(disk({ "ec.0.0": off })).problems[0]).toContain("SMART is switched off");
  });
  test("INQUIRY tells disks behind ATA ports from others", () => {
    expect([isBehindAta(golden("ataInquiry")), isBehindAta(golden("sasInquiry"))]).toEqual([true, false]);
    expect(() => isBehindAta(new Uint8Array(8))).toThrow("16 are due");
  });
});

describe("reading SCSI", () => {
  const read = (system: FakeScsi) => readScsiHealth(openScsi("/dev/sda", { system }));
  test("a SAS disk with every page: counters are added up, defects counted, a predicted failure is told", () => {
    const system = new FakeScsi();
    system.defects = golden("scsiGrownDefects");
    system.logs = new Map([
      [0x00, golden("scsiPagesSas")],
      [0x02, golden("scsiWriteErrors")],
      [0x03, golden("scsiReadErrors")],
      [0x05, golden("scsiVerifyErrors")],
      [0x0d, golden("scsiTemperatureSas")],
      [0x0e, golden("scsiStartStop")],
      [0x10, golden("scsiSelfTests")],
      [0x11, golden("scsiSolidState")],
      [0x15, golden("scsiBackgroundScan")],
      [0x2f, golden("scsiExceptionsPredicted")],
    ]);
    expect(read(system)).toMatchObject({
      protocol: "scsi",
      passed: false,
      temperatureCelsius: 52,
      wearRatio: 1.04,
      mediaErrors: 13,
      reallocatedSectors: 37,
      pendingSectors: 2,
      powerOnHours: 26_281,
      startStopCycles: 321,
      notReported: [],
      problems: [],
    });
    expect(read(system).warnings.map(({ code }) => code)).toEqual(["prediction", "self-test"]);
  });
  test("a disk without LOG SENSE reports nothing, and only pages that a disk lists are asked for", () => {
    expect(read(new FakeScsi())).toEqual({
      protocol: "scsi",
      warnings: [],
      notReported: ["log pages", "grown defects"],
      problems: [],
    });
    const system = new FakeScsi();
    system.logs = new Map([
      [0, golden("scsiPages")],
      [0x0d, golden("scsiTemperature")],
      [0x2f, golden("scsiExceptions")],
    ]);
    expect(read(system)).toMatchObject({ passed: true, temperatureCelsius: 38, problems: [] });
    expect(system.commands.filter(([operation]) => operation === 0x4d).map((cdb) => (cdb[2] ?? 0) & 0x3f)).toEqual([
      0, 0, 0x2f, 0x2f, 0x0d, 0x0d,
    ]);
  });
  test("a page cut off on the way is a problem of that page alone", () => {
    const system = new FakeScsi();
    system.logs = new Map([
      [0, golden("scsiPages")],
      [0x0d, golden("scsiTemperature").subarray(0, 9)],
      [0x2f, golden("scsiExceptions")],
    ]);
    const reading = read(system);
    expect(reading.problems).toEqual(["SCSI log page 0x0d: 9 bytes came, the page says 16"]);
    expect(reading).toMatchObject({ passed: true, temperatureCelsius: 38 });
  });
  test("a disk that is pulled in the middle is an error, not a page that it lacks", () => {
    const system = new FakeScsi();
    system.hostStatus = 1;
    expect(() => read(system)).toThrow(ScsiError);
    system.hostStatus = 0;
    system.errno = "ENODEV";
    expect(() => openScsi("/dev/sda", { system })).toThrow("ENODEV");
  });
});

test("why a look gave nothing, and what to do about it", () => {
  const of = (error: unknown) => {
    const { failure, message } = smartReadError(error, "/dev/sdx");
    return `${failure}: ${message}`;
  };
  expect(of(new FileSystemError("EACCES", "open", "/dev/sdx"))).toContain("no-permission: /dev/sdx: no permission");
  expect(of(new FileSystemError("EPERM", "ioctl", "/dev/sdx"))).toContain(
    "run as root, or in a container as privileged",
  );
  expect(of(new FileSystemError("ENXIO", "open", "/dev/sdx"))).toContain(
    "gone: /dev/sdx: there is no such device any more",
  );
  expect(of(new FileSystemError("ENOTTY", "INQUIRY", "/dev/vda"))).toContain("unsupported: ");
  expect(of(new FileSystemError("EIO", "ioctl", "/dev/sdx"))).toContain("failed: ");
  expect(of(new ScsiError("x", "y", { status: 0, hostStatus: 1, driverStatus: 0, sense: undefined }))).toContain(
    "gone: ",
  );
  const absent: { path: string; language: "nvme" | "scsi" }[] = [
    { path: "/dev/couchestor-absent", language: "nvme" },
    { path: "/dev/couchestor-absent", language: "scsi" },
    { path: "/dev/null", language: "nvme" },
    { path: "/dev/null", language: "scsi" },
  ];
  const failures = absent.map((target) => {
    try {
      return readDeviceHealth(target).problems;
    } catch (error) {
      return (error as SmartReadError).failure;
    }
  });
  expect(failures).toEqual(["gone", "gone", "unsupported", "unsupported"]);
});
