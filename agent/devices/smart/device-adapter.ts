/** Opens a device, reads its health records, and closes it again. Blocks until the device has answered: only in a worker, or a short-lived command. */
import { openNvme } from "@couchestor/native-ffi/nvme/nvme-device.ts";
import { openScsi } from "@couchestor/native-ffi/scsi/scsi-device.ts";
import { isBehindAta, readAtaHealth } from "./read-ata.ts";
import { readNvmeHealth } from "./read-nvme.ts";
import { readScsiHealth } from "./read-scsi.ts";
import type { SmartReading } from "./reading.ts";
import { type SmartTarget, smartReadError } from "./smart-reader.ts";

/** One look. Throws `SmartReadError`. */
export function readDeviceHealth({ path, language }: SmartTarget): SmartReading {
  try {
    const device = language === "nvme" ? openNvme(path) : openScsi(path);
    try {
      if ("logPage" in device) return readNvmeHealth(device);
      return isBehindAta(device.inquiry()) ? readAtaHealth(device) : readScsiHealth(device);
    } finally {
      device.close();
    }
  } catch (error) {
    throw smartReadError(error, path);
  }
}
