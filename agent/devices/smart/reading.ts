/** What one look at a device's own health records gave. A figure that the device does not report is absent, never zero. */

/** Which records the device keeps. */
export type SmartProtocol = "nvme" | "ata" | "scsi";

/** Something that the device itself complains of. */
export interface SmartWarning {
  /** One word for programs: `spare`, `temperature`, `reliability`, `read-only`, `backup`, `prefail-5` … */
  readonly code: string;
  /** For a person. */
  readonly text: string;
  /** `failing`: the device says that it must be replaced. `wearing`: it wants attention. */
  readonly level: "failing" | "wearing";
}

export interface SmartReading {
  readonly protocol: SmartProtocol;
  /** The device's own verdict. */
  readonly passed?: boolean;
  readonly warnings: readonly SmartWarning[];
  readonly temperatureCelsius?: number;
  /** 0 is new, 1 is what the maker guarantees; may pass 1. */
  readonly wearRatio?: number;
  readonly spareRatio?: number;
  readonly spareThresholdRatio?: number;
  /** Errors of the medium that the device could not correct, over its whole life. */
  readonly mediaErrors?: number;
  readonly reallocatedSectors?: number;
  /** Sectors that could not be read and wait to be written again. */
  readonly pendingSectors?: number;
  readonly powerOnHours?: number;
  readonly powerCycles?: number;
  readonly startStopCycles?: number;
  readonly unsafeShutdowns?: number;
  /** Optional commands and pages that the device does not have, such as `self-test log`: no fault. */
  readonly notReported: readonly string[];
  /** Pages that should have been there and were not usable, in words. */
  readonly problems: readonly string[];
}
