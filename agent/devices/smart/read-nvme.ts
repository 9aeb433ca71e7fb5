/** Reads the health of an NVMe device. Blocks until the device has answered. */
import type { NvmeDevice } from "@couchestor/native-ffi/nvme/ports.ts";
import { nvmeHealthBytes, nvmeReading, parseNvmeHealth } from "./nvme-health.ts";
import { PageReader } from "./read-pages.ts";
import type { SmartReading } from "./reading.ts";

const healthPage = 2;

/** One look at the device; give the controller, or a namespace of it. Throws what the system says: ENODEV, EIO … */
export function readNvmeHealth(device: NvmeDevice): SmartReading {
  const pages = new PageReader();
  const page = pages.page("health page", () =>
    parseNvmeHealth(device.logPage({ page: healthPage, bytes: nvmeHealthBytes })),
  );
  const { notReported, problems } = pages;
  if (!page) return { protocol: "nvme", warnings: [], notReported, problems };
  return { ...nvmeReading(page), notReported, problems };
}
