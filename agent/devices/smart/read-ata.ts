/** Reads the health of an ATA disk by pass-through: SMART status, attributes, and device statistics where it has them. Blocks until it has answered. */
import type { AtaCommand, ScsiDevice } from "@couchestor/native-ffi/scsi/ports.ts";
import { type AtaAttribute, attributeFigures, idsOfTemperature, parseAtaAttributes } from "./ata-attributes.ts";
import { type AtaIdentity, parseAtaIdentity } from "./ata-identify.ts";
import {
  type AtaStatistics,
  parseStatisticsDirectory,
  parseStatisticsPage,
  statisticsLog,
  statisticsPages,
} from "./ata-statistics.ts";
import { defined, SmartPageError } from "./page-bytes.ts";
import { PageReader } from "./read-pages.ts";
import type { SmartReading, SmartWarning } from "./reading.ts";

const sectorBytes = 512;
const smart = { command: 0xb0, count: 1, lba: 0xc24f00, bytes: sectorBytes } as const;
const identify: AtaCommand = { command: 0xec, features: 0, count: 1, lba: 0, bytes: sectorBytes };
const readData: AtaCommand = { ...smart, features: 0xd0 };
const readThresholds: AtaCommand = { ...smart, features: 0xd1 };
const returnStatus: AtaCommand = { ...smart, features: 0xda, count: 0, bytes: 0 };
const goodSignature = 0xc24f;
const badSignature = 0x2cf4;

/** READ LOG EXT of one sector; page `page` of log `log`. */
function readLog(log: number, page: number): AtaCommand {
  return { command: 0x2f, features: 0, count: 1, lba: log + page * 256, bytes: sectorBytes, extended: true };
}

/** One look at the disk. Throws what the system says: ENODEV, EIO … */
export function readAtaHealth(device: ScsiDevice): SmartReading {
  const pages = new PageReader();
  const identity = pages.page("identify", () => parseAtaIdentity(device.ataRead(identify)));
  const attributes =
    identity?.smartSupported === false
      ? undefined
      : pages.page("attributes", () => parseAtaAttributes(device.ataRead(readData), device.ataRead(readThresholds)));
  if (identity?.smartSupported === false) pages.notReported.push("SMART");
  else if (identity?.smartEnabled === false)
    pages.problems.push("SMART is switched off on this disk; smartctl -s on switches it on");
  const passed = attributes && pages.page("status", () => smartStatus(device));
  const statistics = identity?.hasLogs ? readStatistics(device, pages) : {};
  if (identity?.hasLogs === false) pages.notReported.push("device statistics");
  return {
    protocol: "ata",
    ...defined({ passed }),
    warnings: warningsOf(attributes ?? [], passed),
    ...figuresOf(attributes, statistics, identity),
    notReported: pages.notReported,
    problems: pages.problems,
  };
}

/** SMART RETURN STATUS: undefined where a bridge keeps the registers to itself. */
function smartStatus(device: ScsiDevice): boolean | undefined {
  const registers = device.ataRegisters(returnStatus);
  const signature = registers && Math.floor(registers.lba / 256) % 65_536;
  if (signature === goodSignature) return true;
  return signature === badSignature ? false : undefined;
}

function readStatistics(device: ScsiDevice, pages: PageReader): AtaStatistics {
  const there = pages.page("device statistics", () =>
    parseStatisticsDirectory(device.ataRead(readLog(statisticsLog, 0))),
  );
  const parts = statisticsPages
    .filter((page) => there?.includes(page))
    .map((page) =>
      pages.page(`device statistics page ${page}`, () =>
        parseStatisticsPage(device.ataRead(readLog(statisticsLog, page)), page),
      ),
    );
  return Object.assign({}, ...parts);
}

/** The standard's statistics go before attributes, whose meaning is the maker's. */
function figuresOf(
  attributes: readonly AtaAttribute[] | undefined,
  statistics: AtaStatistics,
  identity: AtaIdentity | undefined,
) {
  const isSolidState = identity?.isSolidState ?? false;
  const own = attributeFigures(attributes ?? [], isSolidState);
  const used = statistics.percentageUsed;
  return defined({
    temperatureCelsius: statistics.temperatureCelsius ?? own.temperatureCelsius,
    wearRatio: used === undefined ? own.wearRatio : used / 100,
    mediaErrors: statistics.uncorrectableErrors ?? own.mediaErrors,
    reallocatedSectors: statistics.reallocatedSectors ?? own.reallocatedSectors,
    pendingSectors: statistics.pendingSectors ?? own.pendingSectors,
    powerOnHours: statistics.powerOnHours ?? own.powerOnHours,
    powerCycles: statistics.powerCycles ?? own.powerCycles,
    unsafeShutdowns: own.unsafeShutdowns,
  });
}

function warningsOf(attributes: readonly AtaAttribute[], passed: boolean | undefined): SmartWarning[] {
  const warnings: SmartWarning[] = [];
  if (passed === false) {
    warnings.push({ code: "status", text: "the disk says that it is about to fail", level: "failing" });
  }
  for (const { id, value, threshold, isPrefailure, failed } of attributes) {
    if (failed !== "now") continue;
    warnings.push({
      code: `attribute-${id}`,
      text: `attribute ${id} is at ${value}, at or below its threshold of ${threshold}`,
      // Some disks flag their temperature as announcing failure; heat is the room's fault as often.
      level: isPrefailure && !idsOfTemperature.includes(id) ? "failing" : "wearing",
    });
  }
  return warnings;
}

/** Whether INQUIRY data names a disk behind an ATA port, as the kernel and every SAT bridge say it. */
export function isBehindAta(inquiry: Uint8Array): boolean {
  if (inquiry.length < 16) throw new SmartPageError(`INQUIRY: ${inquiry.length} bytes came, 16 are due`);
  return Buffer.from(inquiry.subarray(8, 16)).toString("latin1") === "ATA     ";
}
