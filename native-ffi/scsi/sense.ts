/** Sense data: what a SCSI device says about a command that did not end well. Fixed and descriptor format, as SPC has them. */
import { DeviceCommandError } from "../core/command-ports.ts";
import type { AtaRegisters } from "./ports.ts";

export interface Sense {
  /** 0 no sense, 1 recovered error, 2 not ready, 3 medium error, 4 hardware error, 5 illegal request, 6 unit attention … */
  readonly key: number;
  /** Additional sense code and qualifier: ASC in the upper byte. */
  readonly code: number;
}

const keys = [
  "no sense",
  "recovered error",
  "not ready",
  "medium error",
  "hardware error",
  "illegal request",
  "unit attention",
  "data protect",
  "blank check",
  "vendor specific",
  "copy aborted",
  "aborted command",
];

/** Reads key and code; undefined for bytes that are no sense data. */
export function parseSense(bytes: Uint8Array): Sense | undefined {
  const format = (bytes[0] ?? 0) & 0x7f;
  const at = (index: number): number => bytes[index] ?? 0;
  if (format === 0x70 || format === 0x71) return { key: at(2) & 0xf, code: at(12) * 256 + at(13) };
  if (format === 0x72 || format === 0x73) return { key: at(1) & 0xf, code: at(2) * 256 + at(3) };
  return undefined;
}

/** The ATA registers out of the ATA Status Return descriptor (SAT); undefined where the sense data has none. */
export function ataRegistersOf(sense: Uint8Array): AtaRegisters | undefined {
  const format = (sense[0] ?? 0) & 0x7f;
  if (format !== 0x72 && format !== 0x73) return undefined;
  const end = Math.min(sense.length, 8 + (sense[7] ?? 0));
  for (let at = 8; at + 2 <= end; at += 2 + (sense[at + 1] ?? 0)) {
    if (sense[at] !== 0x09 || at + 14 > end) continue;
    const byte = (index: number): number => sense[at + index] ?? 0;
    const lower = byte(7) + byte(9) * 2 ** 8 + byte(11) * 2 ** 16;
    const upper = byte(6) + byte(8) * 2 ** 8 + byte(10) * 2 ** 16;
    const extended = (byte(2) & 1) === 1;
    return {
      error: byte(3),
      status: byte(13),
      count: byte(5) + (extended ? byte(4) * 2 ** 8 : 0),
      lba: lower + (extended ? upper * 2 ** 24 : 0),
    };
  }
  return undefined;
}

interface CommandResult {
  readonly status: number;
  readonly hostStatus: number;
  readonly driverStatus: number;
  readonly sense: Sense | undefined;
}

/** DID_NO_CONNECT and DID_BAD_TARGET: the adapter knows no such device any more. */
const goneHostStatuses: readonly number[] = [0x01, 0x04];

/** A command that the device, its bridge or its host adapter refused or failed. */
export class ScsiError extends DeviceCommandError {
  override readonly name = "ScsiError";
  readonly sense: Sense | undefined;

  constructor(operation: string, path: string, result: CommandResult) {
    const gone = goneHostStatuses.includes(result.hostStatus);
    super(operation, path, explain(result), { unsupported: isUnsupported(result.sense), gone });
    this.sense = result.sense;
  }
}

/**
 * INVALID COMMAND OPERATION CODE, INVALID FIELD IN CDB, INVALID FIELD IN PARAMETER LIST, LOGICAL UNIT NOT SUPPORTED; and ABORTED COMMAND without a code, which is
 * how a bridge hands on that an ATA disk aborted a command it does not know.
 */
function isUnsupported(sense: Sense | undefined): boolean {
  const { key, code } = sense ?? { key: -1, code: -1 };
  return (key === 5 && [0x2000, 0x2400, 0x2600, 0x2500].includes(code)) || (key === 11 && code === 0);
}

function explain(result: CommandResult): string {
  const hex = (value: number, digits: number): string => `0x${value.toString(16).padStart(digits, "0")}`;
  if (result.sense) {
    const { key, code } = result.sense;
    return `${keys[key] ?? "sense key"} (sense ${hex(key, 1)}, code ${hex(code, 4)})`;
  }
  if (result.hostStatus !== 0) {
    const known: Record<number, string> = {
      1: "no connection to the device",
      3: "the command timed out",
      4: "no such device",
    };
    return `${known[result.hostStatus] ?? "the host adapter failed the command"} (host status ${hex(result.hostStatus, 2)})`;
  }
  return `the device refused it (status ${hex(result.status, 2)}, driver status ${hex(result.driverStatus, 2)})`;
}
