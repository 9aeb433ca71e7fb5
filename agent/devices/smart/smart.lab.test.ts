/**
 * What devices say of their health, against `smartctl --json` of the same devices in the same minute.
 * lab: machine=standard timeoutSeconds=900
 */
import { beforeAll, describe, expect, test } from "bun:test";
import { closeSync, constants, openSync, readdirSync, readFileSync } from "node:fs";
import { systemClock } from "@couchestor/common/runtime/clock.ts";
import { askHost, command, until } from "@couchestor/common/testing/lab.ts";
import { ioctlAdmin, ioctlNamespaceId } from "@couchestor/native-ffi/nvme/ioctl-transport.ts";
import { openNvme } from "@couchestor/native-ffi/nvme/nvme-device.ts";
import { openScsi } from "@couchestor/native-ffi/scsi/scsi-device.ts";
import { parseAtaAttributes } from "./ata-attributes.ts";
import { parseAtaIdentity } from "./ata-identify.ts";
import { readDeviceHealth } from "./device-adapter.ts";
import { parseNvmeHealth } from "./nvme-health.ts";
import { parseTemperature } from "./scsi-pages.ts";
import { WorkerSmartReader } from "./worker-reader.ts";

/** The part of smartctl's JSON that is compared. */
interface Smartctl {
  model_name: string;
  serial_number: string;
  firmware_version: string;
  smart_status: { passed: boolean };
  temperature: { current: number; drive_trip?: number };
  power_on_time: { hours: number };
  power_cycle_count: number;
  nvme_smart_health_information_log: Record<string, number>;
  ata_smart_attributes: {
    table: {
      id: number;
      value: number;
      worst: number;
      thresh: number;
      when_failed: string;
      flags: { value: number; prefailure: boolean };
      raw: { value: number };
    }[];
  };
}

function smartctl(path: string): Smartctl {
  // Its exit code has bits for everything that is not perfect; its JSON is what counts.
  const { stdout } = Bun.spawnSync(["smartctl", "-a", "--json", path]);
  return JSON.parse(stdout.toString());
}

/** The controller with this serial number: `/dev/nvme0`. */
function nvmeBySerial(serial: string): string {
  const name = readdirSync("/sys/class/nvme").find(
    (one) => readFileSync(`/sys/class/nvme/${one}/serial`, "utf8").trim() === serial,
  );
  if (name === undefined) throw new Error(`no NVMe controller ${serial}`);
  return `/dev/${name}`;
}

/** The disk of this vendor, as INQUIRY has it. */
function scsiByModel(model: string): string | undefined {
  const name = readdirSync("/sys/block").find(
    (one) => one.startsWith("sd") && readFileSync(`/sys/block/${one}/device/model`, "utf8").trim() === model,
  );
  return name && `/dev/${name}`;
}

describe("NVMe", () => {
  let path = "";
  beforeAll(() => {
    path = nvmeBySerial("NVME0001");
  });
  test("every field of the health page is smartctl's", () => {
    const device = openNvme(path);
    expect(device.via).toBe("libnvme");
    const page = parseNvmeHealth(device.logPage({ page: 2, bytes: 512 }));
    device.close();
    const theirs = smartctl(path);
    const { warning_temp_time, critical_comp_time, ...log } = theirs.nvme_smart_health_information_log;
    expect({
      critical_warning: page.criticalWarning,
      temperature: page.temperatureCelsius,
      available_spare: page.availableSparePercent,
      available_spare_threshold: page.availableSpareThresholdPercent,
      percentage_used: page.percentageUsed,
      data_units_read: page.dataUnitsRead,
      data_units_written: page.dataUnitsWritten,
      host_reads: page.hostReads,
      host_writes: page.hostWrites,
      controller_busy_time: page.controllerBusyMinutes,
      power_cycles: page.powerCycles,
      power_on_hours: page.powerOnHours,
      unsafe_shutdowns: page.unsafeShutdowns,
      media_errors: page.mediaErrors,
      num_err_log_entries: page.errorLogEntries,
    } as Record<string, number | undefined>).toEqual(log);
    expect([page.warningTemperatureMinutes, page.criticalTemperatureMinutes]).toEqual([
      warning_temp_time ?? -1,
      critical_comp_time ?? -1,
    ]);
    expect(readDeviceHealth({ path, language: "nvme" })).toMatchObject({
      passed: theirs.smart_status.passed,
      warnings: [],
    });
  });
  test("without libnvme the same bytes come by ioctl", () => {
    const open = (name: string): number => openSync(name, constants.O_RDONLY);
    const system = { open, close: closeSync, namespaceId: ioctlNamespaceId, admin: ioctlAdmin, libnvme: undefined };
    const [bare, library] = [openNvme(path, { system }), openNvme(path)];
    expect([bare.via, library.via]).toEqual(["ioctl", "libnvme"]);
    for (const request of [
      { cns: 1, nsid: 0 },
      { cns: 0, nsid: 1 },
      { cns: 3, nsid: 1 },
    ])
      expect(Buffer.compare(bare.identify(request), library.identify(request))).toBe(0);
    const pages = [bare, library].map((device) => device.logPage({ page: 2, bytes: 512 }).subarray(0, 32));
    expect(Buffer.compare(pages[0] as Uint8Array, pages[1] as Uint8Array)).toBe(0);
    for (const device of [bare, library]) {
      expect(() => device.logPage({ page: 6, bytes: 564 })).toThrow("NVMe status 0x2");
      device.close();
    }
    const namespace = openNvme(`${path}n2`, { system });
    expect(namespace.namespaceId()).toBe(2);
    namespace.close();
  });
  test("a critical warning is seen at the next look, and gone at the one after it was taken back", async () => {
    await askHost({ verb: "set", device: "nvc0", property: "smart_critical_warning", value: 8 });
    const reading = readDeviceHealth({ path, language: "nvme" });
    expect(reading).toMatchObject({ passed: false, warnings: [{ code: "read-only", level: "failing" }] });
    expect(smartctl(path).smart_status.passed).toBe(false);
    await askHost({ verb: "set", device: "nvc0", property: "smart_critical_warning", value: 0 });
    expect(readDeviceHealth({ path, language: "nvme" })).toMatchObject({ passed: true, warnings: [] });
  });
});

describe("SATA", () => {
  test("identity, every attribute, status and figures are smartctl's", () => {
    const path = scsiByModel("LAB-SATA-HDD") ?? "";
    const device = openScsi(path);
    const read = { command: 0xb0, count: 1, lba: 0xc24f00, bytes: 512 };
    const identity = parseAtaIdentity(device.ataRead({ command: 0xec, features: 0, count: 1, lba: 0, bytes: 512 }));
    const table = parseAtaAttributes(
      device.ataRead({ ...read, features: 0xd0 }),
      device.ataRead({ ...read, features: 0xd1 }),
    );
    device.close();
    const theirs = smartctl(path);
    expect(identity).toMatchObject({
      model: theirs.model_name,
      serial: theirs.serial_number,
      firmware: theirs.firmware_version,
    });
    expect(table.length).toBeGreaterThan(5);
    expect(
      table.map(({ id, value, worst, threshold, flags, isPrefailure, raw, failed }) => ({
        id,
        value,
        worst,
        thresh: threshold,
        when_failed: failed ?? "",
        flags: { value: flags, prefailure: isPrefailure },
        raw: { value: raw },
      })),
    ).toEqual(
      theirs.ata_smart_attributes.table.map(({ id, value, worst, thresh, when_failed, flags, raw }) => ({
        id,
        value,
        worst,
        thresh,
        when_failed,
        flags: { value: flags.value, prefailure: flags.prefailure },
        raw: { value: raw.value },
      })),
    );
    expect(readDeviceHealth({ path, language: "scsi" })).toMatchObject({
      protocol: "ata",
      passed: theirs.smart_status.passed,
      temperatureCelsius: theirs.temperature.current,
      powerOnHours: theirs.power_on_time.hours,
      powerCycles: theirs.power_cycle_count,
      problems: [],
    });
  });
});

describe("SCSI", () => {
  let path = "";
  beforeAll(async () => {
    command("modprobe", "scsi_debug", "dev_size_mb=16");
    path = await until(async () => scsiByModel("scsi_debug"), 120_000, "no scsi_debug disk");
  });
  test("scsi_debug: status and temperatures are smartctl's", () => {
    const theirs = smartctl(path);
    const device = openScsi(path);
    const { celsius, tripCelsius } = parseTemperature(device.logSense(0x0d));
    device.close();
    expect([celsius, tripCelsius]).toEqual([theirs.temperature.current, theirs.temperature.drive_trip]);
    expect(readDeviceHealth({ path, language: "scsi" })).toMatchObject({
      protocol: "scsi",
      passed: theirs.smart_status.passed,
      temperatureCelsius: theirs.temperature.current,
      problems: [],
    });
  });
  test("scsi_debug: a predicted failure is told by both", () => {
    // Bit TEST of the informational exceptions control page makes the disk report an exception.
    command("sg_wr_mode", "--page=0x1c", "--contents=1c,0a,0c,06,00,00,00,00,00,00,00,01", path);
    expect(smartctl(path).smart_status.passed).toBe(false);
    expect(readDeviceHealth({ path, language: "scsi" })).toMatchObject({
      passed: false,
      warnings: [{ code: "prediction", level: "failing" }],
    });
  });
  test("a SAS disk without log pages reports nothing, which is no error", () => {
    expect(readDeviceHealth({ path: scsiByModel("SASDISK") ?? "", language: "scsi" })).toEqual({
      protocol: "scsi",
      warnings: [],
      notReported: ["log pages", "grown defects"],
      problems: [],
    });
  });
});

describe("in the worker", () => {
  test("a disk that was pulled is gone; a virtio disk keeps no records; the event loop goes on meanwhile", async () => {
    const reader = new WorkerSmartReader(systemClock);
    const failureOf = (path: string, language: "nvme" | "scsi"): Promise<string> =>
      reader.read({ path, language }).then(
        () => "none",
        (error) => error.failure,
      );
    await askHost({ verb: "plug", disk: "hot", kind: "nvme", serial: "HOT1", sizeMiB: 64, slot: "rp1" });
    const path = await until(
      async () => {
        try {
          return nvmeBySerial("HOT1");
        } catch {
          return undefined;
        }
      },
      120_000,
      "no hot-plugged controller",
    );
    expect(await failureOf(path, "nvme")).toBe("none");
    await askHost({ verb: "unplug", device: "hot" });
    await until(async () => ((await failureOf(path, "nvme")) === "gone" ? true : undefined), 120_000, "still there");
    await askHost({ verb: "plug", disk: "virt", kind: "virtio", serial: "VIRT1", sizeMiB: 64, slot: "rp2" });
    const virtual = await until(
      async () => readdirSync("/sys/block").find((name) => name.startsWith("vd")),
      120_000,
      "no virtio disk",
    );
    expect(await failureOf(`/dev/${virtual}`, "scsi")).toBe("unsupported");
    reader.close();
  });
});
