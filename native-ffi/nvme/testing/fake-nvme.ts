/** An NVMe controller behind the system calls: answers as the kernel hands a controller's answers on, and refuses what it does not have. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import type { Libnvme } from "../libnvme.ts";
import type { NvmeSystem } from "../nvme-device.ts";
import type { NvmeAdminCommand } from "../ports.ts";
import { NvmeStatusError } from "../status.ts";

const invalidOpcode = 0x4001;
const invalidField = 0x4002;

export class FakeNvme implements NvmeSystem {
  libnvme: Libnvme | undefined;
  readonly commands: NvmeAdminCommand[] = [];
  /** Log pages by number; one that is not here is refused. */
  readonly pages = new Map<number, Uint8Array>();
  /** Identify structures by CNS. */
  readonly identities = new Map<number, Uint8Array>();
  /** Every call fails with it, as when the device has been pulled. */
  errno: string | undefined;
  openCount = 0;

  open(path: string): number {
    if (this.errno) throw new FileSystemError(this.errno, "open", path);
    this.openCount++;
    return 7;
  }

  close(): void {
    this.openCount--;
  }

  namespaceId(_fd: number, path: string): number {
    if (/n\d+$/.test(path)) return 1;
    throw new FileSystemError("ENOTTY", "ioctl NVME_IOCTL_ID", path);
  }

  admin(_fd: number, path: string, operation: string, command: NvmeAdminCommand): number {
    if (this.errno) throw new FileSystemError(this.errno, operation, path);
    this.commands.push(command);
    const { opcode, cdw10 = 0, cdw12 = 0, into } = command;
    const source =
      opcode === 2 ? this.pages.get(cdw10 & 0xff) : opcode === 6 ? this.identities.get(cdw10 & 0xff) : undefined;
    if (opcode !== 2 && opcode !== 6) throw new NvmeStatusError(operation, path, invalidOpcode);
    if (source === undefined || into === undefined) throw new NvmeStatusError(operation, path, invalidField);
    into.set(source.subarray(cdw12, cdw12 + into.length));
    return 0;
  }
}
