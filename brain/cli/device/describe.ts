/** `couchestor device describe` */
import type { LocalDevice, NvmeIdentity } from "@couchestor/common/api/local-devices.ts";
import { type Command, exitOk } from "../command.ts";
import { sizeText } from "../text.ts";
import { deviceId, healthText, mediaText, onDevices } from "./local.ts";

export const deviceDescribe: Command = {
  path: ["device", "describe"],
  summary: "Show one disk: all that is known of it, what is on it, and why it may not be used",
  arguments: [deviceId],
  options: {},
  examples: [{ command: "couchestor device describe wwn-0x5000c500a1b2c3d4", text: "one disk" }],
  async run(context, args) {
    const { output } = context;
    return await onDevices(context, async (devices) => {
      const { device, health, nvme } = await devices.health(args.argument("ID"));
      output.result({ device: { ...device, health }, nvme }, () => {
        for (const [name, value] of rows(device)) output.line(`${name.padEnd(12)} ${value}`);
        if (nvme !== undefined) output.line(`${"nvme".padEnd(12)} ${nvmeText(nvme)}`);
        output.line(`${"health".padEnd(12)} ${[healthText(output, device), ...health.reasons].join("; ")}`);
        if (device.inUse.length === 0)
          output.line(`${"state".padEnd(12)} free: couchestor device claim ${device.id} --pool NAME`);
        for (const { kind, detail } of device.inUse) output.line(`${"state".padEnd(12)} ${kind}: ${detail}`);
        for (const problem of device.problems) output.line(`${"problem".padEnd(12)} ${problem}`);
      });
      return exitOk;
    });
  },
};

function rows(device: LocalDevice): [string, string][] {
  const { nvme, scsi, zones, rotationRpm, numaNode } = device;
  const optional: [string, string | undefined][] = [
    [
      "id",
      device.idStable ? device.id : `${device.id} (it tells nothing of itself: after claiming, name it by its label)`,
    ],
    ["path", device.path],
    ["by-id", device.byId.length === 0 ? undefined : device.byId.join(", ")],
    ["model", device.model],
    ["vendor", scsi?.vendor],
    ["serial", device.serial],
    ["wwn", device.wwn],
    ["firmware", device.firmware],
    ["media", `${mediaText(device)}${rotationRpm === undefined ? "" : `, ${rotationRpm} rpm`}`],
    ["capacity", `${sizeText(device.capacityBytes)} (${device.capacityBytes} bytes)`],
    ["blocks", `${device.logicalBlockBytes} bytes, physical ${device.physicalBlockBytes}`],
    ["zones", zones === undefined ? undefined : zonesText(zones)],
    ["controllers", nvme === undefined ? undefined : `${nvme.controllers.join(", ")}, namespace ${nvme.namespaceId}`],
    ["scsi", scsi === undefined ? undefined : `${scsi.address}${scsi.sgPath === undefined ? "" : `, ${scsi.sgPath}`}`],
    ["numa node", numaNode === undefined ? undefined : `${numaNode}`],
    ["slot", device.sysPath],
    ["tier", `${device.tier}: ${device.tierReason}`],
  ];
  return optional.filter((row): row is [string, string] => row[1] !== undefined);
}

function zonesText(zones: NonNullable<LocalDevice["zones"]>): string {
  const { zoneCount, zoneBytes, openMax, activeMax, appendBytesMax } = zones;
  const limits = [
    ...(openMax === undefined ? [] : [`${openMax} open`]),
    ...(activeMax === undefined ? [] : [`${activeMax} active`]),
    ...(appendBytesMax === undefined ? [] : [`appends of ${sizeText(appendBytesMax)}`]),
  ];
  return `${zoneCount} of ${sizeText(zoneBytes)}${limits.length === 0 ? "" : `; at most ${limits.join(", ")}`}`;
}

/** `1.4 by libnvme; commands up to 512 KiB; formats 512 (in use, good), 4096 (best)` */
function nvmeText({ via, version, transferBytesMax, formats }: NvmeIdentity): string {
  const shown = formats.map(({ blockBytes, metadataBytes, performance, inUse }) => {
    const block = metadataBytes === 0 ? `${blockBytes}` : `${blockBytes}+${metadataBytes}`;
    return `${block} (${inUse ? "in use, " : ""}${performance})`;
  });
  const parts = [
    `${version ?? "of unknown version"} by ${via}`,
    ...(transferBytesMax === undefined ? [] : [`commands up to ${sizeText(transferBytesMax)}`]),
    `formats ${shown.join(", ")}`,
  ];
  return parts.join("; ");
}
