/** NVMe admin commands by the kernel's own ioctl: needs no library. */
import { errnoError } from "../core/errno.ts";
import { addressOf } from "../core/memory.ts";
import { StructArray } from "../core/struct.ts";
import { lastErrno, libc } from "../libc/libc.ts";
import type { NvmeAdminCommand } from "./ports.ts";
import { NvmeStatusError } from "./status.ts";
import { nvmePassthruLayout } from "./structs.ts";

const ioctlId = 0x4e40; // NVME_IOCTL_ID
const ioctlAdminCommand = 0xc0484e41; // NVME_IOCTL_ADMIN_CMD

/** Sends one admin command; returns dword 0 of the completion. Blocks until the device answers or `timeoutMs` is over. */
export function ioctlAdmin(fd: number, path: string, operation: string, command: NvmeAdminCommand): number {
  const struct = new StructArray(nvmePassthruLayout, 1);
  struct.set(0, "opcode", command.opcode);
  struct.set(0, "nsid", command.nsid);
  struct.set(0, "cdw10", command.cdw10 ?? 0);
  struct.set(0, "cdw11", command.cdw11 ?? 0);
  struct.set(0, "cdw12", command.cdw12 ?? 0);
  struct.set(0, "cdw13", command.cdw13 ?? 0);
  struct.set(0, "cdw14", command.cdw14 ?? 0);
  struct.set(0, "timeout_ms", command.timeoutMs);
  if (command.into) {
    struct.set(0, "addr", addressOf(command.into));
    struct.set(0, "data_len", command.into.length);
  }
  const status = libc().ioctl(fd, ioctlAdminCommand, struct.bytes);
  if (status < 0) throw errnoError(lastErrno(), operation, path);
  if (status > 0) throw new NvmeStatusError(operation, path, status);
  return struct.get(0, "result");
}

/** The namespace that an open block device is. Throws ENOTTY for what is none, such as a controller's character device. */
export function ioctlNamespaceId(fd: number, path: string): number {
  const id = libc().ioctl(fd, ioctlId, null);
  if (id <= 0) throw errnoError(lastErrno(), "ioctl NVME_IOCTL_ID", path);
  return id;
}
