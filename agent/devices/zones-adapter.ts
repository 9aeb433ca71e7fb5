/** The zones of a device, asked of the device itself: in a thread of its own, since a dying disk may take very long to answer. */
import { IoctlThread } from "@couchestor/native-ffi/zoned/ioctl-thread.ts";
import { reportAllZones } from "@couchestor/native-ffi/zoned/report-zones.ts";
import type { LookedZone } from "./ports.ts";

/** All zones, in order. Throws `FileSystemError`: ENOTTY if it has none. */
export async function readZones(fd: number, path: string, sizeBytes: number): Promise<LookedZone[]> {
  const thread = new IoctlThread();
  try {
    return await reportAllZones(thread, { fd, path, sizeBytes });
  } finally {
    await thread.close();
  }
}
