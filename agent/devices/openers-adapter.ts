/** Processes that have a block device open, by /proc: programs such as io-engines open disks without telling the kernel that they are theirs alone. */
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { deviceNumberOf } from "./device-nodes-adapter.ts";
import type { Device } from "./model.ts";

const foundMax = 16;

/** `io-engine (pid 4711)` … of those that this process may look at; processes of other users and other pid namespaces stay unseen. */
export async function openersOf({ deviceNumber }: Device): Promise<string[]> {
  const found: string[] = [];
  for (const pid of await names("/proc")) {
    if (!/^\d+$/.test(pid) || Number(pid) === process.pid || found.length >= foundMax) continue;
    for (const fd of await names(`/proc/${pid}/fd`)) {
      const path = `/proc/${pid}/fd/${fd}`;
      // The link first: asking a file on a dead network file system for its status would hang.
      const target = await readlink(path).catch(() => "");
      if (!target.startsWith("/dev/")) continue;
      const status = await stat(path).catch(() => undefined);
      if (status?.isBlockDevice() !== true || deviceNumberOf(status.rdev) !== deviceNumber) continue;
      const program = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "a process");
      found.push(`${program.trim()} (pid ${pid})`);
      break;
    }
  }
  return found;
}

async function names(path: string): Promise<string[]> {
  return await readdir(path).catch(() => []);
}
