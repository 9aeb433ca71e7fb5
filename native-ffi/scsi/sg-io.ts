/** One SCSI command through the SG_IO ioctl, which works on /dev/sdX and /dev/sgN alike. */
import { errnoError } from "../core/errno.ts";
import { addressOf, alignedBytes } from "../core/memory.ts";
import { StructArray } from "../core/struct.ts";
import { lastErrno, libc } from "../libc/libc.ts";
import { sgIoLayout } from "./structs.ts";

const ioctlSgIo = 0x2285; // SG_IO
const interfaceScsi = 0x53; // 'S'
const directionNone = -1;
const directionFromDevice = -3;
const senseBytesMax = 64;

export interface SgCommand {
  readonly cdb: Uint8Array;
  /** Where the device's data goes; without it the command moves none. */
  readonly into?: Uint8Array;
  readonly timeoutMs: number;
}

export interface SgResult {
  /** SCSI status: 0 good, 2 check condition. */
  readonly status: number;
  readonly hostStatus: number;
  readonly driverStatus: number;
  readonly sense: Uint8Array;
  /** How many bytes came. */
  readonly receivedBytes: number;
}

/** Sends it and waits. Throws `FileSystemError` when the kernel did not take it; what the device said is in the result. */
export function sgIo(fd: number, path: string, operation: string, command: SgCommand): SgResult {
  const header = new StructArray(sgIoLayout, 1);
  const sense = alignedBytes(senseBytesMax, 8);
  const cdb = Uint8Array.from(command.cdb);
  header.set(0, "interface_id", interfaceScsi);
  header.set(0, "dxfer_direction", command.into ? directionFromDevice : directionNone);
  header.set(0, "cmd_len", cdb.length);
  header.set(0, "mx_sb_len", senseBytesMax);
  header.set(0, "cmdp", addressOf(cdb));
  header.set(0, "sbp", addressOf(sense));
  header.set(0, "timeout", command.timeoutMs);
  if (command.into) {
    header.set(0, "dxfer_len", command.into.length);
    header.set(0, "dxferp", addressOf(command.into));
  }
  if (libc().ioctl(fd, ioctlSgIo, header.bytes) !== 0) throw errnoError(lastErrno(), operation, path);
  return {
    status: header.get(0, "status"),
    hostStatus: header.get(0, "host_status"),
    driverStatus: header.get(0, "driver_status"),
    sense: sense.slice(0, Math.min(senseBytesMax, header.get(0, "sb_len_wr"))),
    receivedBytes: Math.max(0, (command.into?.length ?? 0) - header.get(0, "resid")),
  };
}
