/** `couchestor device list` */
import type { DeviceInfo } from "@couchestor/common/api/devices.ts";
import { type Command, type CommandContext, exitFailed, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { type ParsedArguments, UsageError } from "../parsed-arguments.ts";
import { sizeText } from "../text.ts";
import { healthText, mediaText, useText, withLocalDevices } from "./local.ts";

const head = ["device", "path", "size", "media", "model", "tier", "health", "state"];

export const deviceList: Command = {
  path: ["device", "list"],
  summary: "List disks: what each is, how healthy, and whether it may be used",
  description:
    "Shows the devices of this machine, with --all-nodes or --node those that agents reported to the brain. Looking changes nothing on a device. " +
    "To see what is on one and how healthy it is takes root; without, the columns say so. The id stays when names like /dev/sdb change.",
  arguments: [],
  options: {
    "all-nodes": { kind: "flag", help: "The devices of all nodes, as their agents last reported them to the brain" },
    node: { kind: "text", value: "NAME", help: "The devices of this node, as its agent last reported them" },
    free: { kind: "flag", help: "Only those that may be claimed as they are" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor device list", text: "the disks of this machine" },
    { command: "couchestor device list --free --json", text: "which may be claimed, for a script" },
    { command: "couchestor device list --all-nodes --data-dir ./data", text: "of the whole cluster" },
  ],
  async run(context, args) {
    return args.flag("all-nodes") || args.text("node") !== undefined
      ? ofCluster(context, args)
      : ofMachine(context, args);
  },
};

async function ofMachine(context: CommandContext, args: ParsedArguments): Promise<number> {
  const { output } = context;
  const inventory = await withLocalDevices(context, (devices) => devices.list());
  const devices = inventory.devices.filter((device) => isWanted(device, args));
  output.result({ devices, skipped: inventory.skipped, problems: inventory.problems }, () => {
    if (devices.length > 0)
      output.table(
        head,
        devices.map((device) => row(context, device)),
        { right: [2] },
      );
    else if (inventory.problems.length === 0) output.line(args.flag("free") ? "no device is free" : "no devices");
  });
  for (const problem of inventory.problems) output.note(problem);
  return inventory.devices.length === 0 && inventory.problems.length > 0 ? exitFailed : exitOk;
}

async function ofCluster(context: CommandContext, args: ParsedArguments): Promise<number> {
  const { output } = context;
  const only = args.text("node");
  const nodes = await (await connectBrain(context, args)).nodes();
  if (only !== undefined && !nodes.some(({ nodeName }) => nodeName === only)) {
    throw new UsageError(
      `--node: got "${only}", there are ${nodes.map(({ nodeName }) => nodeName).join(", ") || "none"}`,
    );
  }
  const found = nodes
    .filter(({ nodeName }) => only === undefined || nodeName === only)
    .flatMap(({ nodeName, state, devices = [] }) =>
      devices.map((device) => ({ nodeName, nodeState: state, ...device })),
    )
    .filter((device) => isWanted(device, args));
  output.result({ devices: found }, () => {
    if (found.length === 0) return output.line("no devices reported");
    output.table(
      ["node", ...head],
      found.map(({ nodeName, nodeState, ...device }) => [
        nodeState === "Online" ? nodeName : `${nodeName} (${nodeState})`,
        ...row(context, device),
      ]),
      { right: [3] },
    );
  });
  return exitOk;
}

function isWanted({ inUse }: DeviceInfo, args: ParsedArguments): boolean {
  return !args.flag("free") || inUse.length === 0;
}

function row({ output }: CommandContext, device: DeviceInfo): string[] {
  return [
    device.id,
    device.path,
    sizeText(device.capacityBytes),
    mediaText(device),
    device.model ?? "-",
    device.tier,
    healthText(output, device),
    useText(device),
  ];
}
