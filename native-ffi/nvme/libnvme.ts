/** libnvme where it is installed; never embedded. Only what it exports in all of 1.x is used, with argument structs that carry their own size. */
import { errnoError } from "../core/errno.ts";
import { type LibraryName, loadLibrary } from "../core/load.ts";
import { addressOf } from "../core/memory.ts";
import { StructArray } from "../core/struct.ts";
import { lastErrno } from "../libc/libc.ts";
import { NvmeStatusError } from "./status.ts";
import { nvmeGetLogLayout, nvmeIdentifyLayout } from "./structs.ts";

const libnvmeLibrary: LibraryName = {
  name: "libnvme",
  sonames: ["libnvme.so.1"],
  environmentVariable: "COUCHESTOR_LIBNVME",
};

const signatures = {
  nvme_get_log: { args: ["ptr"], returns: "i32" },
  nvme_identify: { args: ["ptr"], returns: "i32" },
} as const;

/** Where a command goes. */
export interface CommandTarget {
  readonly fd: number;
  readonly path: string;
  readonly operation: string;
  readonly timeoutMs: number;
}

export interface Libnvme {
  readonly description: string;
  identify(to: CommandTarget, request: { cns: number; nsid: number; csi: number }, into: Uint8Array): void;
  getLog(to: CommandTarget, request: { page: number; nsid: number; offset: number }, into: Uint8Array): void;
}

function check(returned: number, { operation, path }: CommandTarget): void {
  if (returned < 0) throw errnoError(lastErrno(), operation, path);
  if (returned > 0) throw new NvmeStatusError(operation, path, returned);
}

/** Opens libnvme. Undefined where there is none, or one of another generation; `notes` says why. */
export function loadLibnvme(): { libnvme: Libnvme | undefined; notes: readonly string[] } {
  const { library, notes } = loadLibrary(libnvmeLibrary, signatures);
  if (!library) return { libnvme: undefined, notes };
  const { nvme_get_log, nvme_identify } = library.symbols;
  const libnvme: Libnvme = {
    description: `libnvme ${library.version ?? ""}`.trim(),
    identify(to, { cns, nsid, csi }, into) {
      const args = new StructArray(nvmeIdentifyLayout, 1);
      args.set(0, "data", addressOf(into));
      args.set(0, "args_size", nvmeIdentifyLayout.sizeBytes);
      args.set(0, "fd", to.fd);
      args.set(0, "timeout", to.timeoutMs);
      args.set(0, "cns", cns);
      args.set(0, "csi", csi);
      args.set(0, "nsid", nsid);
      check(nvme_identify(args.bytes), to);
    },
    getLog(to, { page, nsid, offset }, into) {
      const args = new StructArray(nvmeGetLogLayout, 1);
      args.set(0, "lpo", offset);
      args.set(0, "log", addressOf(into));
      args.set(0, "args_size", nvmeGetLogLayout.sizeBytes);
      args.set(0, "fd", to.fd);
      args.set(0, "timeout", to.timeoutMs);
      args.set(0, "lid", page);
      args.set(0, "len", into.length);
      args.set(0, "nsid", nsid);
      check(nvme_get_log(args.bytes), to);
    },
  };
  return { libnvme, notes };
}
