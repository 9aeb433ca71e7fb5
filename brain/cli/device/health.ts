/** `couchestor device health` */
import type { DeviceHealth, DeviceInfo } from "@couchestor/common/api/devices.ts";
import { type Command, type CommandContext, exitFailed, exitOk } from "../command.ts";
import { deviceId, healthText, onDevices } from "./local.ts";

export const deviceHealth: Command = {
  path: ["device", "health"],
  summary: "Show what disks say of their health: wear, spare, errors, temperature, and what to make of it",
  description:
    "Asks the devices just now: NVMe for its SMART page, SATA by ATA pass-through, SAS by log pages. Needs root. A figure that a device does not " +
    "report is left out. Exit code 1 if a device is Failing or Gone.",
  arguments: [{ ...deviceId, required: false }],
  options: {},
  examples: [
    { command: "couchestor device health", text: "all disks of this machine" },
    { command: "couchestor device health wwn-0x5000c500a1b2c3d4 --json", text: "one, for a script" },
  ],
  async run(context, args) {
    const id = args.optionalArgument("ID");
    return await onDevices(context, async (local) => {
      const devices = id === undefined ? (await local.list()).devices : [(await local.health(id)).device];
      const shown = devices.map(({ id: device, path, model, health }) => ({ device, path, model, health }));
      context.output.result({ devices: shown }, () => show(context, devices));
      const isBad = devices.some(({ health }) => health?.state === "Failing" || health?.state === "Gone");
      return isBad ? exitFailed : exitOk;
    });
  },
};

function show({ output }: CommandContext, devices: readonly DeviceInfo[]): void {
  output.table(
    ["device", "path", "health", "wear", "spare", "media errors", "reallocated", "hours", "why"],
    devices.map((device) => {
      const { health } = device;
      return [
        device.id,
        device.path,
        healthText(output, device),
        percent(health?.wearRatio),
        spare(health),
        figure(health?.mediaErrors),
        figure(health?.reallocatedSectors),
        figure(health?.powerOnHours),
        health?.reasons.join("; ") ?? "",
      ];
    }),
    { right: [3, 4, 5, 6, 7] },
  );
}

const figure = (value: number | undefined): string => (value === undefined ? "-" : `${value}`);
const percent = (ratio: number | undefined): string => (ratio === undefined ? "-" : `${Math.round(ratio * 100)} %`);

/** A device whose threshold is 0 does not watch its spare: 0 of it alarms nobody. */
function spare(health: DeviceHealth | undefined): string {
  const threshold = health?.spareThresholdRatio;
  return threshold ? `${percent(health?.spareRatio)} (min ${percent(threshold)})` : percent(health?.spareRatio);
}
