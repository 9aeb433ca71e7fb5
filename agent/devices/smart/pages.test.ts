import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { attributeFigures, parseAtaAttributes } from "./ata-attributes.ts";
import { parseAtaIdentity } from "./ata-identify.ts";
import { parseStatisticsDirectory, parseStatisticsPage } from "./ata-statistics.ts";
import { nvmeReading, parseNvmeHealth } from "./nvme-health.ts";
import { SmartPageError } from "./page-bytes.ts";
import { parseSupportedPages } from "./scsi-log.ts";
import {
  exceptionWarning,
  parseBackgroundScan,
  parseErrorCounters,
  parseExceptions,
  parseGrownDefects,
  parseSelfTests,
  parseSolidState,
  parseStartStop,
  parseTemperature,
} from "./scsi-pages.ts";
import { golden } from "./testing/pages.ts";

describe("NVMe health page", () => {
  test("of a worn device: every figure, with the counters of 16 bytes", () => {
    const page = parseNvmeHealth(golden("nvmeWorn"));
    expect(page).toEqual({
      criticalWarning: 0b1101,
      temperatureCelsius: 68,
      availableSparePercent: 4,
      availableSpareThresholdPercent: 10,
      percentageUsed: 103,
      dataUnitsRead: 123_456_789,
      dataUnitsWritten: 987_654_321,
      hostReads: 11_111_111_111,
      hostWrites: 22_222_222_222,
      controllerBusyMinutes: 3333,
      powerCycles: 44,
      powerOnHours: 26_280,
      unsafeShutdowns: 7,
      mediaErrors: 19,
      errorLogEntries: 321,
      warningTemperatureMinutes: 61,
      criticalTemperatureMinutes: 2,
      sensorsCelsius: { 1: 67, 3: 79 },
    });
    const reading = nvmeReading(page);
    expect(reading).toMatchObject({ passed: false, wearRatio: 1.03, spareRatio: 0.04, spareThresholdRatio: 0.1 });
    expect(reading.warnings.map(({ code, level }) => `${code} ${level}`)).toEqual([
      "spare failing",
      "reliability failing",
      "read-only failing",
    ]);
  });
  test("as captured: no warnings, 50 °C; 0 K is no temperature, and 2^64 no count", () => {
    expect(nvmeReading(parseNvmeHealth(golden("nvmeHealth")))).toMatchObject({ passed: true, temperatureCelsius: 50 });
    const bytes = golden("nvmeFabrics");
    bytes.fill(0xff, 160, 168);
    const page = parseNvmeHealth(bytes);
    expect("temperatureCelsius" in page).toBe(false);
    expect("mediaErrors" in page).toBe(false);
    expect("mediaErrors" in nvmeReading(page)).toBe(false);
  });
});

describe("ATA", () => {
  test("identify: as captured from a disk, and of a solid state disk with logs", () => {
    expect(parseAtaIdentity(golden("ataIdentify"))).toEqual({
      model: "LAB-SATA-HDD",
      serial: "SATA0001",
      firmware: "2.5+",
      smartSupported: true,
      smartEnabled: true,
      isSolidState: false,
      hasLogs: false,
    });
    expect(parseAtaIdentity(golden("ataIdentifySsd"))).toMatchObject({
      isSolidState: true,
      hasLogs: true,
      model: "Example SSD",
    });
  });
  test("attributes as captured are those that smartctl prints", () => {
    const table = parseAtaAttributes(golden("ataAttributes"), golden("ataThresholds"));
    expect(table.map(({ id, value, worst, threshold, raw }) => [id, value, worst, threshold, raw])).toEqual([
      [1, 100, 100, 6, 0],
      [3, 100, 100, 0, 16],
      [4, 100, 100, 20, 100],
      [5, 100, 100, 36, 0],
      [9, 100, 100, 0, 1],
      [12, 100, 100, 0, 0],
      [190, 69, 69, 50, 522_125_343],
    ]);
    expect(attributeFigures(table, false)).toMatchObject({
      temperatureCelsius: 31,
      powerOnHours: 1,
      reallocatedSectors: 0,
    });
  });
  test("a failing disk: which attributes fail now, which did once, and figures without what makers put in the upper bits", () => {
    const table = parseAtaAttributes(golden("ataAttributesFailing"), golden("ataThresholdsFailing"));
    expect(table.flatMap(({ id, failed }) => (failed ? [`${id} ${failed}`] : []))).toEqual([
      "5 now",
      "190 past",
      "231 now",
    ]);
    expect(attributeFigures(table, true)).toEqual({
      temperatureCelsius: 36,
      reallocatedSectors: 1912,
      pendingSectors: 24,
      mediaErrors: 141,
      powerOnHours: 33_412,
      powerCycles: 88,
      unsafeShutdowns: 2100,
      wearRatio: 0.93,
    });
    expect(attributeFigures(table, false).wearRatio).toBeUndefined();
  });
  test("device statistics: only values that are there and valid", () => {
    expect(parseStatisticsDirectory(golden("ataStatistics0"))).toEqual([1, 3, 4, 5, 7]);
    expect(parseStatisticsPage(golden("ataStatistics1"), 1)).toEqual({ powerCycles: 91, powerOnHours: 30_001 });
    expect(parseStatisticsPage(golden("ataStatistics3"), 3)).toEqual({ reallocatedSectors: 17 });
    expect(parseStatisticsPage(golden("ataStatistics4"), 4)).toEqual({ uncorrectableErrors: 6 });
    expect(parseStatisticsPage(golden("ataStatistics5"), 5)).toEqual({ temperatureCelsius: -5 });
    expect(parseStatisticsPage(golden("ataStatistics7"), 7)).toEqual({ percentageUsed: 112 });
    expect(() => parseStatisticsPage(golden("ataStatistics7"), 5)).toThrow("page 7 came instead");
  });
  test("a sector whose checksum does not hold gives no figures", () => {
    const bytes = golden("ataAttributes");
    bytes[5] = (bytes[5] ?? 0) ^ 1;
    expect(() => parseAtaAttributes(bytes, golden("ataThresholds"))).toThrow("the checksum is");
  });
});

describe("SCSI log pages", () => {
  test("as captured: the list, temperature and exceptions", () => {
    expect([...parseSupportedPages(golden("scsiPages"))]).toEqual([0x00, 0x0d, 0x2f]);
    expect(parseTemperature(golden("scsiTemperature"))).toEqual({ celsius: 38, tripCelsius: 65 });
    expect(parseExceptions(golden("scsiExceptions"))).toEqual({ code: 0, celsius: 38 });
  });
  test("made from the layouts: counters, cycles, self-tests, endurance, scans, defects", () => {
    expect(parseErrorCounters(golden("scsiWriteErrors"), 0x02)).toEqual({
      correctedWithoutDelay: 3,
      correctedWithDelay: 1,
      rereadsOrRewrites: 2,
      corrected: 4,
      bytesProcessed: 1_234_567_890_123,
      uncorrected: 0,
    });
    expect(parseErrorCounters(golden("scsiReadErrors"), 0x03).uncorrected).toBe(12);
    expect(parseErrorCounters(golden("scsiVerifyErrors"), 0x05)).toEqual({ uncorrected: 1 });
    expect(parseTemperature(golden("scsiTemperatureSas"))).toEqual({ celsius: 52 });
    expect(parseStartStop(golden("scsiStartStop"))).toEqual({ startCycles: 321, loadCycles: 4321 });
    expect(parseSelfTests(golden("scsiSelfTests"))).toEqual({ result: "failed", hours: 20_123 });
    expect(parseSolidState(golden("scsiSolidState"))).toEqual({ percentageUsed: 104 });
    expect(parseBackgroundScan(golden("scsiBackgroundScan"))).toEqual({ powerOnHours: 26_281, pendingSectors: 2 });
    expect(parseGrownDefects(golden("scsiGrownDefects"))).toBe(37);
    const { code } = parseExceptions(golden("scsiExceptionsPredicted"));
    expect(exceptionWarning(code)).toMatchObject({ code: "prediction", level: "failing" });
    expect(exceptionWarning(0x0b01)).toMatchObject({ code: "temperature", level: "wearing" });
    expect(exceptionWarning(0)).toBeUndefined();
  });
});

const parsers: Record<string, (bytes: Uint8Array) => unknown> = {
  nvmeHealth: parseNvmeHealth,
  ataIdentify: parseAtaIdentity,
  ataAttributes: (bytes) => parseAtaAttributes(bytes, golden("ataThresholds")),
  ataThresholds: (bytes) => parseAtaAttributes(golden("ataAttributes"), bytes),
  ataStatistics0: parseStatisticsDirectory,
  ataStatistics1: (bytes) => parseStatisticsPage(bytes, 1),
  scsiPages: parseSupportedPages,
  scsiTemperature: parseTemperature,
  scsiExceptions: parseExceptions,
  scsiWriteErrors: (bytes) => parseErrorCounters(bytes, 0x02),
  scsiStartStop: parseStartStop,
  scsiSelfTests: parseSelfTests,
  scsiSolidState: parseSolidState,
  scsiBackgroundScan: parseBackgroundScan,
  scsiGrownDefects: parseGrownDefects,
};

describe.each(Object.keys(parsers))("%s", (name) => {
  const parse = parsers[name] as (bytes: Uint8Array) => unknown;
  const bytes = golden(name as Parameters<typeof golden>[0]);
  test("short, empty or all ones: an error in words, never values", () => {
    for (const short of [new Uint8Array(0), bytes.subarray(0, 3), new Uint8Array(bytes.length).fill(0xff)]) {
      expect(() => parse(short)).toThrow(SmartPageError);
    }
    expect(() => parse(new Uint8Array(bytes.length).fill(0xff))).toThrow("nothing but ones");
  });
  test("any bytes and any cut give figures or an error in words, and nothing is read beyond them", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 600 }), fc.nat(bytes.length), (noise, cut) => {
        const broken = Uint8Array.from(bytes);
        for (const [i, value] of noise.entries()) if (i % 7 === 0 && i < broken.length) broken[i] = value;
        for (const input of [noise, bytes.subarray(0, cut), broken]) {
          try {
            expect(JSON.stringify(parse(input)) ?? "").not.toContain("null");
          } catch (error) {
            if (!(error instanceof SmartPageError)) throw error;
          }
        }
      }),
      { numRuns: 200 },
    );
  });
});
