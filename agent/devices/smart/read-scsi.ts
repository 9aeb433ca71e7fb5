/** Reads the health of a SCSI disk by its log pages. Blocks until it has answered. */
import type { ScsiDevice } from "@couchestor/native-ffi/scsi/ports.ts";
import { defined } from "./page-bytes.ts";
import { PageReader } from "./read-pages.ts";
import type { SmartReading, SmartWarning } from "./reading.ts";
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
  scsiPage,
} from "./scsi-pages.ts";

const names: Readonly<Record<number, string>> = {
  [scsiPage.writeErrors]: "write errors",
  [scsiPage.readErrors]: "read errors",
  [scsiPage.verifyErrors]: "verify errors",
  [scsiPage.temperature]: "temperature",
  [scsiPage.startStop]: "start-stop cycles",
  [scsiPage.selfTests]: "self-tests",
  [scsiPage.solidState]: "solid state media",
  [scsiPage.backgroundScan]: "background scan",
  [scsiPage.exceptions]: "informational exceptions",
};

/** One look at the disk: only pages that it lists are asked for. Throws what the system says: ENODEV, EIO … */
export function readScsiHealth(device: ScsiDevice): SmartReading {
  const pages = new PageReader();
  const there = pages.page("log pages", () => parseSupportedPages(device.logSense(0)));
  const log = <Result>(page: number, parse: (bytes: Uint8Array) => Result): Result | undefined => {
    const name = names[page] as string;
    if (there?.has(page)) return pages.page(name, () => parse(device.logSense(page)));
    if (there) pages.notReported.push(name);
    return undefined;
  };
  const exception = log(scsiPage.exceptions, parseExceptions);
  const temperature = log(scsiPage.temperature, parseTemperature);
  const errors = [scsiPage.writeErrors, scsiPage.readErrors, scsiPage.verifyErrors].map((page) =>
    log(page, (bytes) => parseErrorCounters(bytes, page)),
  );
  const scan = log(scsiPage.backgroundScan, parseBackgroundScan);
  const selfTest = log(scsiPage.selfTests, parseSelfTests);
  const used = log(scsiPage.solidState, parseSolidState)?.percentageUsed;
  const cycles = log(scsiPage.startStop, parseStartStop);
  const reallocatedSectors = pages.page("grown defects", () => parseGrownDefects(device.grownDefectHeader()));
  const prediction = exception && exceptionWarning(exception.code);
  return {
    protocol: "scsi",
    ...(exception === undefined ? {} : { passed: prediction?.level !== "failing" }),
    warnings: [prediction, selfTestWarning(selfTest)].filter((warning) => warning !== undefined),
    ...defined({
      temperatureCelsius: temperature?.celsius ?? exception?.celsius,
      wearRatio: used === undefined ? undefined : used / 100,
      mediaErrors: total(errors.map((counters) => counters?.uncorrected)),
      reallocatedSectors,
      pendingSectors: scan?.pendingSectors,
      powerOnHours: scan?.powerOnHours,
      startStopCycles: cycles?.startCycles,
    }),
    notReported: pages.notReported,
    problems: pages.problems,
  };
}

/** The sum of those that are there; undefined if none is. */
function total(values: readonly (number | undefined)[]): number | undefined {
  const there = values.filter((value) => value !== undefined);
  return there.length === 0 ? undefined : there.reduce((sum, value) => sum + value, 0);
}

function selfTestWarning(test: { result: string; hours: number } | undefined): SmartWarning | undefined {
  if (test?.result !== "failed") return undefined;
  return { code: "self-test", text: `the newest self-test failed at ${test.hours} hours of power`, level: "wearing" };
}
