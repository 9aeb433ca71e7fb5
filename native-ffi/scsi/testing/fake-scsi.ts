/** A SCSI disk, or a SATA disk behind a bridge, behind the SG_IO call: answers what it has, and refuses the rest with the sense data that real ones give. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { ScsiSystem } from "../scsi-device.ts";
import type { SgCommand, SgResult } from "../sg-io.ts";

const invalidOperation = Uint8Array.of(0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x20, 0);
const invalidField = Uint8Array.of(0x70, 0, 5, 0, 0, 0, 0, 10, 0, 0, 0, 0, 0x24, 0);
const abortedByAta = Uint8Array.of(0x72, 0x0b, 0, 0, 0, 0, 0, 0);

export class FakeScsi implements ScsiSystem {
  readonly commands: Uint8Array[] = [];
  inquiry: Uint8Array = new Uint8Array(36);
  /** VPD pages and log pages by number; undefined: the disk knows no such command. */
  vpd = new Map<number, Uint8Array>();
  logs: Map<number, Uint8Array> | undefined;
  defects: Uint8Array | undefined;
  /** ATA data by `command.features.lba`, in hexadecimal; undefined: no ATA disk. */
  ata: Map<string, Uint8Array> | undefined;
  /** The sense data that SMART RETURN STATUS ends with. */
  ataStatusSense: Uint8Array | undefined;
  errno: string | undefined;
  hostStatus = 0;
  /** Gives so many bytes less than it should. */
  missingBytes = 0;

  open(path: string): number {
    if (this.errno) throw new FileSystemError(this.errno, "open", path);
    return 8;
  }

  close(): void {}

  command(_fd: number, path: string, operation: string, { cdb, into }: SgCommand): SgResult {
    if (this.errno) throw new FileSystemError(this.errno, operation, path);
    this.commands.push(cdb);
    if (this.hostStatus !== 0) return result({ hostStatus: this.hostStatus });
    const answer = this.#answer(cdb);
    if (!(answer instanceof Uint8Array)) return answer;
    const given = Math.max(0, Math.min(answer.length, into?.length ?? 0) - this.missingBytes);
    into?.set(answer.subarray(0, given));
    return result({ receivedBytes: given });
  }

  #answer(cdb: Uint8Array): Uint8Array | SgResult {
    const [operation = 0, second = 0, third = 0] = cdb;
    if (operation === 0x12) return second === 1 ? (this.vpd.get(third) ?? refused(invalidField)) : this.inquiry;
    if (operation === 0x4d && this.logs) return this.logs.get(third & 0x3f) ?? refused(invalidField);
    if (operation === 0xb7 && this.defects) return this.defects;
    if (operation === 0x85 && this.ata) return this.#ata(cdb, this.ata);
    return refused(invalidOperation);
  }

  #ata(cdb: Uint8Array, known: Map<string, Uint8Array>): Uint8Array | SgResult {
    const at = (i: number): number => cdb[i] ?? 0;
    const lba = at(8) + at(10) * 2 ** 8 + at(12) * 2 ** 16;
    if (at(14) === 0xb0 && at(4) === 0xda && this.ataStatusSense) return refused(this.ataStatusSense);
    return known.get([at(14), at(4), lba].map((n) => n.toString(16)).join(".")) ?? refused(abortedByAta);
  }
}

function refused(sense: Uint8Array): SgResult {
  return result({ status: 2, driverStatus: 8, sense });
}

function result(part: Partial<SgResult>): SgResult {
  return { status: 0, hostStatus: 0, driverStatus: 0, sense: new Uint8Array(0), receivedBytes: 0, ...part };
}
