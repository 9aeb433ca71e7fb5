/** What an NVMe status means to the rest of the program: the errno that Linux gives for it, where it has one. */
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";

/** Status code type << 8 | status code, of NVM Express Base 2.0 (figures 101 to 104) and of the Zoned Namespace command set (figure 40). */
const known: Readonly<Record<number, [code: string, words: string]>> = {
  2: ["EINVAL", "invalid field in command"],
  6: ["EIO", "internal error"],
  8: ["ENODEV", "aborted, since its queue was deleted"],
  11: ["ENODEV", "invalid namespace"],
  32: ["EROFS", "the namespace is write protected"],
  128: ["EINVAL", "block out of range"],
  129: ["ENOSPC", "capacity exceeded"],
  130: ["EIO", "the namespace is not ready"],
  440: ["EIO", "zone boundary error"],
  441: ["ENOSPC", "the zone is full"],
  442: ["EROFS", "the zone is read-only"],
  443: ["EIO", "the zone is offline"],
  444: ["EIO", "not at the zone's write pointer"],
  445: ["EOVERFLOW", "too many active zones"],
  446: ["EOVERFLOW", "too many open zones"],
  447: ["EIO", "invalid transition of a zone's state"],
  640: ["EIO", "write fault"],
  641: ["ENODATA", "unrecovered read error"],
  642: ["EILSEQ", "guard check error"],
};

/** The error of a command that ended with this status, which is not 0. */
export function statusError(status: number, operation: string, path: string): FileSystemError {
  const [code, words] = known[status] ?? ["EIO", "unknown"];
  const number = `0x${status.toString(16).padStart(3, "0")}`;
  return new FileSystemError(code, `${operation} (NVMe status ${number}: ${words})`, path);
}
