/** The operating system's error numbers as the typed errors the rest of the program knows. */
import { constants } from "node:os";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";

const names = new Map<number, string>();
for (const [name, number] of Object.entries(constants.errno)) {
  // EAGAIN and EWOULDBLOCK are one number, as are EOPNOTSUPP and ENOTSUP; the first listed wins.
  if (!names.has(number)) names.set(number, name);
}

/** `ENOSPC` for 28; `errno 4095` for a number without a name. */
export function errnoName(errno: number): string {
  return names.get(errno) ?? `errno ${errno}`;
}

/** The error of a failed call. `errno` is positive, as the C library sets it; `operation` is the call's name. */
export function errnoError(errno: number, operation: string, path: string): FileSystemError {
  return new FileSystemError(errnoName(errno), operation, path);
}
