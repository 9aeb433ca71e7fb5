/** The health page of NVMe (log page 2): "SMART / Health Information" of the NVMe base specification, little endian. Pure. */
import { defined, littleEndian, pageView } from "./page-bytes.ts";
import type { SmartReading, SmartWarning } from "./reading.ts";

export const nvmeHealthBytes = 512;
const kelvinAtZeroCelsius = 273;

/** The page as it stands, each figure in the unit of the specification. */
export interface NvmeHealthPage {
  readonly criticalWarning: number;
  /** Absent: the controller gives 0 K, which is no temperature. */
  readonly temperatureCelsius?: number;
  readonly availableSparePercent: number;
  readonly availableSpareThresholdPercent: number;
  /** May pass 100; 255 stands for anything above 254. */
  readonly percentageUsed: number;
  /** Thousands of 512-byte units. */
  readonly dataUnitsRead?: number;
  readonly dataUnitsWritten?: number;
  readonly hostReads?: number;
  readonly hostWrites?: number;
  readonly controllerBusyMinutes?: number;
  readonly powerCycles?: number;
  readonly powerOnHours?: number;
  readonly unsafeShutdowns?: number;
  readonly mediaErrors?: number;
  readonly errorLogEntries?: number;
  readonly warningTemperatureMinutes: number;
  readonly criticalTemperatureMinutes: number;
  /** Sensors 1 to 8 that there are, by their number. */
  readonly sensorsCelsius: Readonly<Record<number, number>>;
}

/** Takes the page apart. Throws `SmartPageError` for one that is short or all ones. */
export function parseNvmeHealth(bytes: Uint8Array): NvmeHealthPage {
  const view = pageView(bytes, "NVMe health page", nvmeHealthBytes);
  const counter = (at: number) => littleEndian(bytes.subarray(at, at + 16));
  const sensorsCelsius: Record<number, number> = {};
  for (let i = 0; i < 8; i++) {
    const value = celsius(view.getUint16(200 + 2 * i, true));
    if (value !== undefined) sensorsCelsius[i + 1] = value;
  }
  return {
    criticalWarning: view.getUint8(0),
    ...defined({ temperatureCelsius: celsius(view.getUint16(1, true)) }),
    availableSparePercent: view.getUint8(3),
    availableSpareThresholdPercent: view.getUint8(4),
    percentageUsed: view.getUint8(5),
    ...defined({
      dataUnitsRead: counter(32),
      dataUnitsWritten: counter(48),
      hostReads: counter(64),
      hostWrites: counter(80),
      controllerBusyMinutes: counter(96),
      powerCycles: counter(112),
      powerOnHours: counter(128),
      unsafeShutdowns: counter(144),
      mediaErrors: counter(160),
      errorLogEntries: counter(176),
    }),
    warningTemperatureMinutes: view.getUint32(192, true),
    criticalTemperatureMinutes: view.getUint32(196, true),
    sensorsCelsius,
  };
}

/** Kelvin to Celsius; 0 K means that there is no such sensor. */
function celsius(kelvin: number): number | undefined {
  return kelvin === 0 ? undefined : kelvin - kelvinAtZeroCelsius;
}

/** The bits of the critical warning byte. Heat is the room's fault as often as the device's, so it alone condemns nothing. */
const warningBits: readonly SmartWarning[] = [
  { code: "spare", text: "spare blocks are below the threshold", level: "failing" },
  { code: "temperature", text: "the temperature is beyond its limits", level: "wearing" },
  { code: "reliability", text: "reliability is degraded by media or internal errors", level: "failing" },
  { code: "read-only", text: "the medium has become read-only", level: "failing" },
  { code: "backup", text: "the backup of volatile memory has failed: a power cut may lose data", level: "failing" },
  { code: "memory-region", text: "the persistent memory region has become read-only", level: "wearing" },
];

/** What the page says about the device's health. */
export function nvmeReading(page: NvmeHealthPage): Omit<SmartReading, "notReported" | "problems"> {
  const warnings = warningBits.filter((_, bit) => (page.criticalWarning & (1 << bit)) !== 0);
  const { temperatureCelsius, mediaErrors, powerOnHours, powerCycles, unsafeShutdowns } = page;
  return {
    protocol: "nvme",
    passed: page.criticalWarning === 0,
    warnings,
    ...defined({ temperatureCelsius, mediaErrors, powerOnHours, powerCycles, unsafeShutdowns }),
    wearRatio: page.percentageUsed / 100,
    // Some controllers give 255 where they know nothing.
    ...(page.availableSparePercent > 100
      ? {}
      : {
          spareRatio: page.availableSparePercent / 100,
          spareThresholdRatio: Math.min(100, page.availableSpareThresholdPercent) / 100,
        }),
  };
}
