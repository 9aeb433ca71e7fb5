/** `couchestor device blink` */
import { type Command, exitOk } from "../command.ts";
import { UsageError } from "../parsed-arguments.ts";
import { deviceId, onDevices } from "./local.ts";

const forMsDefault = 30_000;
const forMsMax = 3_600_000;

export const deviceBlink: Command = {
  path: ["device", "blink"],
  summary: "Make the light of a disk's slot blink, to find it in the machine",
  description:
    "Switches the locate light of an SES enclosure, of a PCIe slot with native enclosure management, or the attention light of a PCIe slot. Where the " +
    "kernel knows none it says so; then --activity reads from the disk in a rhythm, so that its activity light flickers. Needs root.",
  arguments: [deviceId],
  options: {
    for: { kind: "duration", value: "TIME", help: "How long, at most 1h", defaultText: "30s" },
    activity: { kind: "flag", help: "Where there is no light to switch: read from the disk" },
  },
  examples: [
    { command: "couchestor device blink wwn-0x5000c500a1b2c3d4 --for 2m --activity", text: "until it is found" },
  ],
  async run(context, args) {
    const { output, signal } = context;
    const forMs = args.number("for") ?? forMsDefault;
    if (forMs < 1 || forMs > forMsMax)
      throw new UsageError(`--for: got ${forMs} ms, allowed is 1ms to 1h`, deviceBlink);
    const options = { forMs, activity: args.flag("activity"), signal };
    return await onDevices(context, async (devices) => {
      const { by } = await devices.blink(args.argument("ID"), options);
      output.result({ blinked: true, by }, () => output.line(`blinked ${by}`));
      return exitOk;
    });
  },
};
