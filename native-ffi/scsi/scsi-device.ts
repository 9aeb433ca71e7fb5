/** Opens SCSI and SATA disks for administration through SG_IO: INQUIRY, LOG SENSE and ATA pass-through. Reads only. */
import { closeSync } from "node:fs";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { alignedBytes } from "../core/memory.ts";
import { openForReading } from "../core/open-for-reading.ts";
import type { AtaCommand, AtaRegisters, ScsiDevice } from "./ports.ts";
import { ataRegistersOf, parseSense, ScsiError } from "./sense.ts";
import { type SgCommand, type SgResult, sgIo } from "./sg-io.ts";

/** What a disk gets to answer; one that spins up takes several seconds. */
const timeoutMsDefault = 20_000;
/** The longest answers there are to INQUIRY and LOG SENSE, by the size of their fields; far more than any disk sends. */
const inquiryBytesMax = 4096;
const logBytesMax = 65_532;
const opInquiry = 0x12;
const opLogSense = 0x4d;
const opReadDefectData12 = 0xb7;
const defectHeaderBytes = 8;
const opAtaPassThrough16 = 0x85;
const statusCheckCondition = 2;
const protocolNonData = 3;
const protocolPioIn = 4;
const keyRecovered = 1;

/** The system calls beneath, so that tests can answer for a disk. */
export interface ScsiSystem {
  open(path: string): number;
  close(fd: number): void;
  command(fd: number, path: string, operation: string, command: SgCommand): SgResult;
}

const systemCalls: ScsiSystem = { open: openForReading, close: closeSync, command: sgIo };

/** Opens `/dev/sda` for administration, reading only. Throws `FileSystemError`: ENOENT, EACCES, ENXIO … */
export function openScsi(path: string, options: { timeoutMs?: number; system?: ScsiSystem } = {}): ScsiDevice {
  const system = options.system ?? systemCalls;
  return new SgDevice(path, system.open(path), system, options.timeoutMs ?? timeoutMsDefault);
}

class SgDevice implements ScsiDevice {
  readonly path: string;
  readonly #fd: number;
  readonly #system: ScsiSystem;
  readonly #timeoutMs: number;
  #closed = false;

  constructor(path: string, fd: number, system: ScsiSystem, timeoutMs: number) {
    this.path = path;
    this.#fd = fd;
    this.#system = system;
    this.#timeoutMs = timeoutMs;
  }

  inquiry(page?: number): Uint8Array {
    const into = alignedBytes(page === undefined ? 96 : inquiryBytesMax);
    const cdb = Uint8Array.of(
      opInquiry,
      page === undefined ? 0 : 1,
      page ?? 0,
      into.length >> 8,
      into.length & 0xff,
      0,
    );
    const name = page === undefined ? "INQUIRY" : `INQUIRY of page 0x${page.toString(16)}`;
    const received = this.#good(name, { cdb, into });
    const stated = page === undefined ? 5 + (into[4] ?? 0) : 4 + (into[2] ?? 0) * 256 + (into[3] ?? 0);
    return into.slice(0, Math.min(received, stated));
  }

  logSense(page: number, subpage = 0): Uint8Array {
    // Some disks answer with nothing when asked for more than they have, so the header comes first and says how long the page is.
    const header = this.#log(page, subpage, 4);
    const stated = 4 + (header[2] ?? 0) * 256 + (header[3] ?? 0);
    return this.#log(page, subpage, Math.min(stated, logBytesMax)).slice(0, stated);
  }

  #log(page: number, subpage: number, bytes: number): Uint8Array {
    const into = alignedBytes(bytes, 512);
    // Page control 1: cumulative values, not thresholds.
    const cdb = Uint8Array.of(opLogSense, 0, 0x40 | page, subpage, 0, 0, 0, bytes >> 8, bytes & 0xff, 0);
    const received = this.#good(`LOG SENSE of page 0x${page.toString(16)}`, { cdb, into });
    return into.subarray(0, received);
  }

  grownDefectHeader(): Uint8Array {
    const into = alignedBytes(defectHeaderBytes, 512);
    // The grown list only, as offsets from the index: what every disk can give. Defects are counted, not read.
    const cdb = Uint8Array.of(opReadDefectData12, 0x0c, 0, 0, 0, 0, 0, 0, 0, defectHeaderBytes, 0, 0);
    return into.slice(0, this.#good("READ DEFECT DATA", { cdb, into }));
  }

  ataRead(command: AtaCommand): Uint8Array {
    const into = alignedBytes(command.bytes, 512);
    const received = this.#good(`ATA command 0x${command.command.toString(16)}`, { cdb: ataCdb(command, false), into });
    return into.slice(0, received);
  }

  ataRegisters(command: AtaCommand): AtaRegisters | undefined {
    const operation = `ATA command 0x${command.command.toString(16)}`;
    const result = this.#send(operation, { cdb: ataCdb(command, true) });
    // The registers come as sense data with the key "recovered error" although nothing went wrong.
    const registers = ataRegistersOf(result.sense);
    const sense = parseSense(result.sense);
    const failed = registers === undefined ? this.#failed(result) : (registers.status & 0x21) !== 0;
    if (failed) throw new ScsiError(operation, this.path, { ...result, sense });
    return registers;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#system.close(this.#fd);
  }

  #send(operation: string, command: Omit<SgCommand, "timeoutMs">): SgResult {
    if (this.#closed) throw new FileSystemError("EBADF", operation, `${this.path} (closed)`);
    return this.#system.command(this.#fd, this.path, operation, { ...command, timeoutMs: this.#timeoutMs });
  }

  /** Sends it and returns how many bytes came; throws `ScsiError` unless it went well. */
  #good(operation: string, command: Omit<SgCommand, "timeoutMs">): number {
    const result = this.#send(operation, command);
    if (this.#failed(result)) throw new ScsiError(operation, this.path, { ...result, sense: parseSense(result.sense) });
    return result.receivedBytes;
  }

  #failed(result: SgResult): boolean {
    if (result.hostStatus !== 0) return true;
    if (result.status === 0) return false;
    return result.status !== statusCheckCondition || parseSense(result.sense)?.key !== keyRecovered;
  }
}

/** The 16-byte pass-through command of SAT. `registers`: give them back whatever the outcome (CK_COND). */
function ataCdb(ata: AtaCommand, registers: boolean): Uint8Array {
  const reads = ata.bytes > 0;
  const protocol = reads ? protocolPioIn : protocolNonData;
  // The length is in the count field, in blocks of 512 bytes, from the device.
  const transfer = reads ? 0x0e : 0;
  const high = (value: number, shift: number): number => (ata.extended ? Math.floor(value / 2 ** shift) & 0xff : 0);
  const low = (value: number, shift: number): number => Math.floor(value / 2 ** shift) & 0xff;
  return Uint8Array.of(
    opAtaPassThrough16,
    (protocol << 1) | (ata.extended ? 1 : 0),
    (registers ? 0x20 : 0) | transfer,
    high(ata.features, 8),
    low(ata.features, 0),
    high(ata.count, 8),
    low(ata.count, 0),
    high(ata.lba, 24),
    low(ata.lba, 0),
    high(ata.lba, 32),
    low(ata.lba, 8),
    high(ata.lba, 40),
    low(ata.lba, 16),
    0,
    ata.command,
    0,
  );
}
