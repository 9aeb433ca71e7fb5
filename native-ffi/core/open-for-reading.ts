/** Opening a device to send it commands that only read. */
import { constants, openSync } from "node:fs";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";

/** The descriptor. Throws `FileSystemError`: ENOENT, EACCES, ENXIO … */
export function openForReading(path: string): number {
  try {
    // Without O_NONBLOCK a drive without medium or in trouble may keep the open waiting.
    return openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    const code = (error as { code?: unknown }).code;
    throw new FileSystemError(typeof code === "string" ? code : "EIO", "open", path, { cause: error });
  }
}
