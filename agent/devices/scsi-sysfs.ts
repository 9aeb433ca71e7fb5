/** What sysfs tells of a SCSI or ATA disk. */
import type { ScsiFacts } from "@couchestor/common/api/local-devices.ts";
import type { SysReader } from "./sys-reader.ts";
import { isAta } from "./transport.ts";
import { nameOfPage83, rotationOfPageB1, serialOfPage80 } from "./vpd.ts";

export interface ScsiReading {
  facts: ScsiFacts;
  hostDriver: string | undefined;
  sasProtocols: string | undefined;
  wwid: string | undefined;
  serial: string | undefined;
  firmware: string | undefined;
  rotationRpm: number | undefined;
  /** Peripheral type: 0 disk, 0x14 zoned disk. */
  type: number | undefined;
}

/** Reads the SCSI device at `devicePath`, the resolved `device` of the block device. */
export async function readScsi(reader: SysReader, devicePath: string): Promise<ScsiReading> {
  const address = devicePath.slice(devicePath.lastIndexOf("/") + 1);
  const [generic, vendor, kernelWwid, page83, page80, pageB1, sasProtocols] = await Promise.all([
    reader.names(`${devicePath}/scsi_generic`),
    reader.text(`${devicePath}/vendor`),
    reader.text(`${devicePath}/wwid`),
    reader.bytes(`${devicePath}/vpd_pg83`),
    reader.bytes(`${devicePath}/vpd_pg80`),
    reader.bytes(`${devicePath}/vpd_pgb1`),
    sasProtocolsOf(reader, devicePath),
  ]);
  const host = /^(.*\/(host\d+))(\/|$)/.exec(devicePath);
  const [sg] = generic;
  return {
    facts: {
      address,
      ...(sg === undefined ? {} : { sgPath: `/dev/${sg}` }),
      ...(vendor === undefined ? {} : { vendor }),
      isAta: isAta({ name: "", sysPath: devicePath, vendor, sasProtocols }),
    },
    hostDriver: host === null ? undefined : await reader.text(`${host[1]}/scsi_host/${host[2]}/proc_name`),
    sasProtocols,
    wwid: kernelWwid ?? (page83 === undefined ? undefined : nameOfPage83(page83)),
    serial: (page80 === undefined ? undefined : serialOfPage80(page80)) ?? (await usbSerial(reader, devicePath)),
    firmware: await reader.text(`${devicePath}/rev`),
    rotationRpm: pageB1 === undefined ? undefined : rotationOfPageB1(pageB1),
    type: await reader.count(`${devicePath}/type`),
  };
}

async function sasProtocolsOf(reader: SysReader, devicePath: string): Promise<string | undefined> {
  const end = /^(.*\/(end_device-[\d:]+))\//.exec(devicePath);
  return end === null ? undefined : reader.text(`${end[1]}/sas_device/${end[2]}/target_port_protocols`);
}

/** Bridges seldom pass on the disk's serial number, but most have one of their own. */
async function usbSerial(reader: SysReader, devicePath: string): Promise<string | undefined> {
  const bridge = /^(.*\/usb\d+(?:\/[\d.-]+)*\/[\d.-]+)\/[\d.-]+:\d+\.\d+\//.exec(devicePath);
  return bridge === null ? undefined : reader.text(`${bridge[1]}/serial`);
}
