/** How a device is attached, and on which bus its identity is to be sought. Pure. */
import type { Transport } from "@couchestor/common/api/devices.ts";
import type { IdentityFacts } from "./identity.ts";

export interface AttachmentFacts {
  /** `sda` */
  name: string;
  /** Resolved folder in sysfs: tells the way from the bus to the disk. */
  sysPath: string;
  /** `transport` of the NVMe controller. */
  nvmeTransport?: string | undefined;
  /** `proc_name` of the SCSI host: its driver. */
  hostDriver?: string | undefined;
  vendor?: string | undefined;
  /** Of the SAS end device: `ssp`, `sata` … */
  sasProtocols?: string | undefined;
}

const nvmeTransports: Readonly<Record<string, Transport>> = {
  pcie: "pcie",
  tcp: "tcp",
  rdma: "rdma",
  fc: "fc",
  loop: "virtual",
};
/** Drivers that show volumes made of disks, not disks. */
const raidDrivers = /^(megaraid|megaraid_sas|megaraid_legacy|aacraid|hpsa|cciss|smartpqi|ips|3w-\w+|arcmsr|dpt_i2o)$/;
const virtualDrivers = /^(vmw_pvscsi|storvsc.*|xen.*|scsi_debug|ibmvscsi|tcm_loopback|loopback)$/;

/** The transport of a device. */
export function transportOf(facts: AttachmentFacts): Transport {
  const { name, sysPath, nvmeTransport, hostDriver = "" } = facts;
  if (name.startsWith("nvme")) return nvmeTransports[nvmeTransport ?? ""] ?? "unknown";
  if (/\/usb\d+\//.test(sysPath)) return "usb";
  if (/\/ata\d+\//.test(sysPath)) return "sata";
  if (/\/end_device-/.test(sysPath)) return isAta(facts) ? "sata" : "sas";
  if (/\/session\d+\//.test(sysPath)) return "iscsi";
  if (/\/rport-/.test(sysPath)) return "fc";
  if (raidDrivers.test(hostDriver)) return "raid";
  if (virtualDrivers.test(hostDriver)) return "virtual";
  if (/\/virtio\d+\//.test(sysPath)) return "virtio";
  if (/^mmcblk/.test(name)) return "mmc";
  if (/^pmem/.test(name)) return "pmem";
  return /\/devices\/virtual\//.test(sysPath) || /\/(vbd|vmbus|vif)-?/.test(sysPath) ? "virtual" : "unknown";
}

/** A disk that speaks ATA, wherever it hangs: libata and SAS adapters name its vendor so. */
export function isAta({ vendor, sasProtocols, sysPath }: AttachmentFacts): boolean {
  return vendor === "ATA" || /\/ata\d+\//.test(sysPath) || /\bsata\b/.test(sasProtocols ?? "");
}

/** The bus whose way of naming applies. */
export function busOf(facts: AttachmentFacts): IdentityFacts["bus"] {
  const { name } = facts;
  if (name.startsWith("nvme")) return "nvme";
  if (name.startsWith("dm-")) return "dm";
  if (name.startsWith("mmcblk")) return "mmc";
  const transport = transportOf(facts);
  if (name.startsWith("sd")) return transport === "usb" ? "usb" : isAta(facts) ? "ata" : "scsi";
  return transport === "virtio" ? "virtio" : "other";
}
