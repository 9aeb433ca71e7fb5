/** Reads one block device from sysfs. What is on it and who uses it is `inspect.ts`'s matter. */
import type { ZonedModel } from "@couchestor/common/api/devices.ts";
import type { ZoneFacts } from "@couchestor/common/api/local-devices.ts";
import { type IdentityFacts, identityOf, meaningfulSerial } from "./identity.ts";
import type { Device } from "./model.ts";
import { type NvmeReading, readNvme } from "./nvme-sysfs.ts";
import type { SysTree } from "./ports.ts";
import { readScsi, type ScsiReading } from "./scsi-sysfs.ts";
import { SysReader } from "./sys-reader.ts";
import { tierOf } from "./tier.ts";
import { busOf, transportOf } from "./transport.ts";

/** Sizes and zones in sysfs are in units of this, whatever the device's blocks are. */
const sectorBytes = 512;

/** A device as sysfs has it, or why it is none that could hold data. */
export type Reading = { device: Device } | { skip: string };

/** Reads `name` of `/sys/block`, whose folder is `sysPath`. `names` are all there. */
export async function readDevice(
  tree: SysTree,
  name: string,
  sysPath: string,
  names: readonly string[],
): Promise<Reading> {
  const reader = new SysReader(tree);
  const deviceNumber = await reader.text(`${sysPath}/dev`);
  if (deviceNumber === undefined) return { skip: "it has no device number: a hidden path, or it is just going away" };
  const sectors = await reader.count(`${sysPath}/size`);
  const devicePath = await tree.resolve(`${sysPath}/device`);
  const nvme = name.startsWith("nvme") ? await readNvme(reader, name, sysPath, names) : undefined;
  const isScsi = devicePath !== undefined && /\/\d+:\d+:\d+:\d+$/.test(devicePath);
  const scsi = isScsi ? await readScsi(reader, devicePath) : undefined;
  if (scsi?.type !== undefined && scsi.type !== 0 && scsi.type !== 0x14 && scsi.type !== 0x0e) {
    return { skip: `SCSI type ${scsi.type}: no disk` };
  }
  const facts = await identityFacts(reader, name, sysPath, devicePath, nvme, scsi);
  const basics = await basicsOf(reader, sysPath, nvme, scsi);
  const { id, stable } = identityOf(facts);
  const transport = transportOf(attachment(name, sysPath, nvme, scsi));
  const { model, serial, wwid } = facts;
  return {
    device: {
      id,
      idStable: stable,
      name,
      path: `/dev/${name.replaceAll("!", "/")}`,
      sysPath,
      deviceNumber,
      byId: [],
      ...(model === undefined ? {} : { model }),
      ...(serial === undefined ? {} : { serial }),
      ...(wwid === undefined ? {} : { wwn: wwid }),
      transport,
      capacityBytes: (sectors ?? 0) * sectorBytes,
      ...basics,
      ...tierOf({ ...basics, transport, isNvme: nvme !== undefined }),
      inUse: [],
      ...(nvme === undefined ? {} : { nvme: nvme.facts }),
      ...(scsi === undefined ? {} : { scsi: scsi.facts }),
      problems: reader.problems,
    },
  };
}

function attachment(name: string, sysPath: string, nvme: NvmeReading | undefined, scsi: ScsiReading | undefined) {
  return {
    name,
    sysPath,
    nvmeTransport: nvme?.transport,
    hostDriver: scsi?.hostDriver,
    vendor: scsi?.facts.vendor,
    sasProtocols: scsi?.sasProtocols,
  };
}

async function identityFacts(
  reader: SysReader,
  name: string,
  sysPath: string,
  devicePath: string | undefined,
  nvme: NvmeReading | undefined,
  scsi: ScsiReading | undefined,
): Promise<IdentityFacts> {
  const at = devicePath ?? `${sysPath}/device`;
  const isDm = name.startsWith("dm-");
  const [blockWwid, model, mmcName, ownSerial, deviceSerial] = await Promise.all([
    reader.text(`${sysPath}/wwid`),
    reader.text(`${at}/model`),
    name.startsWith("mmcblk") ? reader.text(`${at}/name`) : undefined,
    // virtio has it beside the block device, NVMe and memory cards at the device.
    reader.text(`${sysPath}/serial`),
    scsi === undefined ? reader.text(`${at}/serial`) : undefined,
  ]);
  return {
    name,
    bus: busOf(attachment(name, sysPath, nvme, scsi)),
    wwid: scsi === undefined ? blockWwid : scsi.wwid,
    vendor: scsi?.facts.vendor,
    model: model ?? mmcName,
    serial: meaningfulSerial(scsi?.serial ?? ownSerial ?? deviceSerial),
    namespaceId: nvme?.facts.namespaceId,
    dm: isDm
      ? { uuid: await reader.text(`${sysPath}/dm/uuid`), name: await reader.text(`${sysPath}/dm/name`) }
      : undefined,
  };
}

async function basicsOf(
  reader: SysReader,
  sysPath: string,
  nvme: NvmeReading | undefined,
  scsi: ScsiReading | undefined,
) {
  const queue = `${sysPath}/queue`;
  const [logical, physical, rotational, zonedText, readOnly, removable, pciNode, nvmeFirmware] = await Promise.all([
    reader.count(`${queue}/logical_block_size`),
    reader.count(`${queue}/physical_block_size`),
    reader.flag(`${queue}/rotational`),
    reader.text(`${queue}/zoned`),
    reader.flag(`${sysPath}/ro`),
    reader.flag(`${sysPath}/removable`),
    numaNodeAbove(reader, sysPath),
    nvme === undefined ? undefined : reader.text(`${sysPath}/device/firmware_rev`),
  ]);
  const zoned: ZonedModel = zonedText === "host-managed" || zonedText === "host-aware" ? zonedText : "none";
  const zones = zoned === "none" ? undefined : await zonesOf(reader, queue);
  const numaNode = nvme?.numaNode ?? pciNode;
  const firmware = nvmeFirmware ?? scsi?.firmware;
  const rotationRpm = scsi?.rotationRpm;
  return {
    zoned,
    logicalBlockBytes: logical ?? sectorBytes,
    physicalBlockBytes: physical ?? logical ?? sectorBytes,
    readOnly: readOnly ?? false,
    removable: removable ?? false,
    ...(rotational === undefined ? {} : { rotational }),
    ...(rotationRpm === undefined || rotationRpm === 0 ? {} : { rotationRpm }),
    ...(numaNode === undefined ? {} : { numaNode }),
    ...(firmware === undefined ? {} : { firmware }),
    ...(zones === undefined ? {} : { zones }),
  };
}

async function zonesOf(reader: SysReader, queue: string): Promise<ZoneFacts | undefined> {
  const [zoneCount, sectors, openMax, activeMax, appendBytesMax] = await Promise.all([
    reader.count(`${queue}/nr_zones`),
    reader.count(`${queue}/chunk_sectors`),
    reader.count(`${queue}/max_open_zones`),
    reader.count(`${queue}/max_active_zones`),
    reader.count(`${queue}/zone_append_max_bytes`),
  ]);
  if (zoneCount === undefined || sectors === undefined || sectors === 0) return undefined;
  return {
    zoneCount,
    zoneBytes: sectors * sectorBytes,
    // 0 is how the kernel says that there is no limit, and that there are no appends.
    ...(openMax ? { openMax } : {}),
    ...(activeMax ? { activeMax } : {}),
    ...(appendBytesMax ? { appendBytesMax } : {}),
  };
}

/** The NUMA node of the nearest folder above that names one: the PCI device. */
async function numaNodeAbove(reader: SysReader, sysPath: string): Promise<number | undefined> {
  for (let at = sysPath; /\/pci/.test(at); at = at.slice(0, at.lastIndexOf("/"))) {
    if (!/\/[0-9a-f]{4,}:[0-9a-f]{2}:[0-9a-f]{2}\.[0-9a-f]$/.test(at)) continue;
    return await reader.count(`${at}/numa_node`);
  }
  return undefined;
}
