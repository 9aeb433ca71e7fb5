/**
 * What a test in the guest may ask of the host: disks that come and go, faults, warnings, slowness. Requests are validated here;
 * `common/testing/lab.ts` is the guest's side.
 */
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type LabRequest, labRequestSchema } from "@couchestor/common/testing/lab-protocol.ts";
import type { Qmp } from "./qmp.ts";

export interface HostActions {
  /** Carries out one request; throws in words when it can't be. */
  run(request: unknown): Promise<void>;
}

/** How long the guest may take to let go of a device. */
const unplugMsMax = 30_000;

/** `job` is the folder for images. A disk's image outlives its removal, so that the same disk can come back. */
export function hostActions(qmp: Qmp, job: string): HostActions {
  const nodes = new Set<string>();
  let added = 0;

  const plug = async (request: LabRequest & { verb: "plug" }) => {
    const path = join(job, `${request.disk}.img`);
    await writeFile(path, "", { flag: "a" });
    await truncate(path, request.sizeMiB * (1 << 20));
    const node = `${request.disk}-${added++}`;
    const raw = {
      driver: "raw",
      file: { driver: "file", filename: path, locking: "off" },
      cache: { "no-flush": true },
    };
    const faults = request.faults.map((fault) => ({
      event: "none",
      iotype: fault.operation,
      errno: fault.errno,
      once: fault.once,
      ...(fault.sector === undefined ? {} : { sector: fault.sector }),
    }));
    const layer = faults.length === 0 ? raw : { driver: "blkdebug", image: raw, "inject-error": faults };
    await qmp.execute("blockdev-add", { ...layer, "node-name": node });
    nodes.add(node);
    await qmp.execute("device_add", {
      id: request.disk,
      drive: node,
      serial: request.serial,
      ...(request.kind === "nvme" ? { driver: "nvme", bus: request.slot } : {}),
      ...(request.kind === "virtio" ? { driver: "virtio-blk-pci", bus: request.slot } : {}),
      ...(request.kind === "scsi" ? { driver: "scsi-hd", bus: "vscsi.0" } : {}),
    });
  };

  const unplug = async (device: string) => {
    const gone = qmp.event("DEVICE_DELETED", (data) => data["device"] === device, unplugMsMax);
    // Nobody waits for it when QEMU refuses the command.
    gone.catch(() => undefined);
    await qmp.execute("device_del", { id: device });
    await gone;
    for (const node of [...nodes].filter((name) => name.startsWith(`${device}-`))) {
      await qmp.execute("blockdev-del", { "node-name": node });
      nodes.delete(node);
    }
  };

  return {
    async run(input) {
      const request = labRequestSchema.parse(input);
      if (request.verb === "plug") return await plug(request);
      if (request.verb === "unplug") return await unplug(request.device);
      if (request.verb === "throttle") {
        const value = { "bps-total": request.bytesPerSecond, "iops-total": request.operationsPerSecond };
        await qmp.execute("qom-set", { path: "/objects/throttle", property: "limits", value });
        return;
      }
      const path = `/machine/peripheral/${request.device}`;
      await qmp.execute("qom-set", { path, property: request.property, value: request.value });
    },
  };
}
