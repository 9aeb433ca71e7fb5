/** The log pages of SCSI disks that tell of health, each by its number in SPC and SBC. Pure. */
import { bigEndian, defined, pageView, SmartPageError } from "./page-bytes.ts";
import type { SmartWarning } from "./reading.ts";
import { counterOf, parseLogPage } from "./scsi-log.ts";

export const scsiPage = {
  writeErrors: 0x02,
  readErrors: 0x03,
  verifyErrors: 0x05,
  temperature: 0x0d,
  startStop: 0x0e,
  selfTests: 0x10,
  solidState: 0x11,
  backgroundScan: 0x15,
  exceptions: 0x2f,
} as const;

const unavailable = 0xff;

export interface ErrorCounters {
  readonly correctedWithoutDelay?: number;
  readonly correctedWithDelay?: number;
  readonly rereadsOrRewrites?: number;
  readonly corrected?: number;
  readonly bytesProcessed?: number;
  readonly uncorrected?: number;
}

/** Pages 02h, 03h and 05h: error counters of writing, reading and verifying. */
export function parseErrorCounters(bytes: Uint8Array, page: 0x02 | 0x03 | 0x05): ErrorCounters {
  const parameters = parseLogPage(bytes, page);
  const counter = (code: number) => counterOf(parameters.get(code));
  return defined({
    correctedWithoutDelay: counter(0),
    correctedWithDelay: counter(1),
    rereadsOrRewrites: counter(2),
    corrected: counter(3),
    bytesProcessed: counter(5),
    uncorrected: counter(6),
  });
}

/** Page 0Dh: temperature, and the one at which the disk trips. */
export function parseTemperature(bytes: Uint8Array): { celsius?: number; tripCelsius?: number } {
  const parameters = parseLogPage(bytes, scsiPage.temperature);
  const at = (code: number) => known(parameters.get(code)?.[1]);
  return defined({ celsius: at(0), tripCelsius: at(1) });
}

/** Page 0Eh: starts of the spindle and loads of the heads, counted. */
export function parseStartStop(bytes: Uint8Array): { startCycles?: number; loadCycles?: number } {
  const parameters = parseLogPage(bytes, scsiPage.startStop);
  return defined({ startCycles: counterOf(parameters.get(4)), loadCycles: counterOf(parameters.get(6)) });
}

/** Page 10h: how the newest self-test that has ended went; undefined if none ever ran. */
export function parseSelfTests(
  bytes: Uint8Array,
): { result: "passed" | "failed" | "aborted"; hours: number } | undefined {
  const parameters = parseLogPage(bytes, scsiPage.selfTests);
  for (const [, test] of [...parameters].sort(([a], [b]) => a - b)) {
    if (test.length < 16 || test.every((byte) => byte === 0)) continue;
    const result = (test[0] as number) & 0xf;
    if (result === 0xf) continue; // still running
    const hours = bigEndian(test.subarray(2, 4)) as number;
    return { result: result === 0 ? "passed" : result <= 2 ? "aborted" : "failed", hours };
  }
  return undefined;
}

/** Page 11h: the share of its endurance that a solid state disk has used, in percent; may pass 100. */
export function parseSolidState(bytes: Uint8Array): { percentageUsed?: number } {
  return defined({ percentageUsed: parseLogPage(bytes, scsiPage.solidState).get(1)?.[3] });
}

/** Page 15h: hours of power, and the sectors that a background scan could not read and has not reassigned. */
export function parseBackgroundScan(bytes: Uint8Array): { powerOnHours?: number; pendingSectors: number } {
  const parameters = parseLogPage(bytes, scsiPage.backgroundScan);
  const status = parameters.get(0);
  const minutes = status === undefined || status.length < 4 ? undefined : counterOf(status.subarray(0, 4));
  let pendingSectors = 0;
  for (const [code, found] of parameters) {
    if (code < 1 || code > 0x800 || found.length < 5) continue;
    const reassignment = (found[4] as number) >> 4;
    // 1: waits for a write or an order to reassign; 4: reassigning failed.
    if (reassignment === 1 || reassignment === 4) pendingSectors++;
  }
  return { ...defined({ powerOnHours: minutes === undefined ? undefined : Math.floor(minutes / 60) }), pendingSectors };
}

/** Page 2Fh: the exception that the disk reports of itself, 0 for none, and the latest temperature. */
export function parseExceptions(bytes: Uint8Array): { code: number; celsius?: number } {
  const [asc, ascq, temperature] = parseLogPage(bytes, scsiPage.exceptions).get(0) ?? [];
  if (asc === undefined || ascq === undefined) {
    throw new SmartPageError("SCSI log page 0x2f: it lacks the parameter that says how the disk is");
  }
  return { code: asc * 256 + ascq, ...defined({ celsius: known(temperature) }) };
}

/** What an informational exception says: 5Dxx "failure prediction threshold exceeded", 0Bxx "warning" (SPC, ASC assignments). */
export function exceptionWarning(code: number): SmartWarning | undefined {
  const hex = `0x${code.toString(16).padStart(4, "0")}`;
  if (code >> 8 === 0x5d) {
    return { code: "prediction", text: `the disk predicts its failure (exception ${hex})`, level: "failing" };
  }
  if (code === 0x0b01) {
    return { code: "temperature", text: `the temperature is beyond its limits (exception ${hex})`, level: "wearing" };
  }
  return code === 0 ? undefined : { code: "exception", text: `the disk reports exception ${hex}`, level: "wearing" };
}

/** READ DEFECT DATA (12): how many defects have grown, by the length of the list; undefined for a list in a form that can't be counted. */
export function parseGrownDefects(bytes: Uint8Array): number | undefined {
  const view = pageView(bytes, "SCSI list of grown defects", 8);
  const isGrownList = (view.getUint8(1) & 0x08) !== 0;
  const format = view.getUint8(1) & 0x07;
  if (!isGrownList || format > 5) return undefined;
  return Math.floor(view.getUint32(4) / (format === 0 ? 4 : 8));
}

/** A temperature of one byte; 255 is "not available". */
function known(celsius: number | undefined): number | undefined {
  return celsius === unavailable ? undefined : celsius;
}
