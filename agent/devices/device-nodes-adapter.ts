/** The device nodes of this machine behind the port. */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, stat } from "node:fs/promises";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { openDirectFile } from "@couchestor/native-ffi/libaio/direct-file.ts";
import { blockDeviceGeometry } from "@couchestor/native-ffi/libc/libc.ts";
import type { DeviceNodes, ReadableDevice } from "./ports.ts";
import { readZones } from "./zones-adapter.ts";

/** Without waiting for a medium, and without making the device a controlling terminal. */
const lookFlags = constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

/** The real ones. */
export function systemDeviceNodes(): DeviceNodes {
  return {
    numberAt,
    async openToLook(path) {
      const file = await opened(path, lookFlags);
      try {
        const { sizeBytes } = blockDeviceGeometry(file.fd, path);
        return readable(file, path, sizeBytes);
      } catch (error) {
        await file.close();
        throw error;
      }
    },
    async isBusy(path) {
      try {
        // On a block device O_EXCL without O_CREAT asks to be its only such user.
        await (await opened(path, lookFlags | constants.O_EXCL)).close();
        return false;
      } catch (error) {
        if (error instanceof FileSystemError && error.code === "EBUSY") return true;
        throw error;
      }
    },
    async openExclusive(path) {
      const device = await openDirectFile(path);
      // While it is open its number can't become another device's.
      const deviceNumber = await numberAt(path);
      if (deviceNumber !== undefined && deviceNumber !== "other") {
        return {
          deviceNumber,
          sizeBytes: device.sizeBytes,
          read: (into, offset) => device.read(into, offset),
          write: (buffers, offset) => device.write(buffers, offset),
          sync: () => device.sync(),
          close: () => device.close(),
        };
      }
      await device.close();
      throw new FileSystemError("ENODEV", "open", path);
    },
  };
}

async function numberAt(path: string): Promise<string | undefined> {
  let found: Stats;
  try {
    found = await stat(path);
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? "EIO";
    if (code === "ENOENT" || code === "ENOTDIR") return undefined;
    throw new FileSystemError(code, "stat", path, { cause: error });
  }
  return found.isBlockDevice() ? deviceNumberOf(found.rdev) : "other";
}

/** `major:minor` of a device number as glibc packs it (gnu_dev_major(3)). */
export function deviceNumberOf(rdev: number): string {
  const value = BigInt(rdev);
  const major = ((value >> 8n) & 0xfffn) | ((value >> 32n) & 0xfffff000n);
  const minor = (value & 0xffn) | ((value >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}

async function opened(path: string, flags: number): Promise<FileHandle> {
  try {
    return await open(path, flags);
  } catch (error) {
    throw new FileSystemError((error as NodeJS.ErrnoException).code ?? "EIO", "open", path, { cause: error });
  }
}

function readable(file: FileHandle, path: string, sizeBytes: number): ReadableDevice {
  return {
    sizeBytes,
    async read(into, offset) {
      for (let done = 0; done < into.byteLength; ) {
        const { bytesRead } = await file
          .read(into, done, into.byteLength - done, offset + done)
          .catch((error: NodeJS.ErrnoException) => {
            throw new FileSystemError(error.code ?? "EIO", "read", path, { cause: error });
          });
        if (bytesRead === 0) throw new FileSystemError("EIO", `read (nothing at ${offset + done})`, path);
        done += bytesRead;
      }
    },
    zones: () => readZones(file.fd, path, sizeBytes),
    close: () => file.close(),
  };
}
