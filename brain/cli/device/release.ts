/** `couchestor device release` */
import { type Command, exitOk } from "../command.ts";
import { countText } from "../text.ts";
import { confirmId, confirmOptions } from "./confirm.ts";
import { deviceId, onDevices } from "./local.ts";

export const deviceRelease: Command = {
  path: ["device", "release"],
  summary: "Give a claimed disk back: its pool is no more",
  description:
    "Erases the label, after which no agent can open the pool. Refused while an agent has it open, and while it holds chunks unless --destroy-data " +
    "is given. To keep the data, stop the agent's use of the pool; when `pool list` no longer shows it Online, wait until `repair status --wait` ends with " +
    "exit code 0, since then the other pools have all of it; and release the disk with --destroy-data. Needs root.",
  arguments: [deviceId],
  options: {
    "destroy-data": { kind: "flag", help: "Release it even though it holds chunks, which are lost" },
    ...confirmOptions,
  },
  examples: [
    { command: "couchestor device release wwn-0x5000c500a1b2c3d4 --dry-run", text: "what would be lost" },
    { command: "couchestor device release wwn-0x5000c500a1b2c3d4 --yes", text: "an empty pool, for scripts" },
  ],
  async run(context, args) {
    const { output, signal } = context;
    const id = args.argument("ID");
    const destroyData = args.flag("destroy-data");
    return await onDevices(context, async (devices) => {
      const seen = await devices.release(id, destroyData, { dryRun: true, signal });
      const holds = seen.segments === 0 ? "no chunks" : `${countText(seen.segments, "segment")} of chunks`;
      const what = `pool ${seen.label.poolName} on ${seen.device.id} (${seen.device.path}), which holds ${holds}`;
      if (args.flag("dry-run")) {
        output.result({ dryRun: true, ...seen }, () => {
          output.line(`would release ${what}`);
          for (const step of seen.steps) output.line(`  ${step}`);
          if (seen.segments > 0 && !destroyData) output.line("  refused without --destroy-data");
        });
        return exitOk;
      }
      const text = `this releases ${what}${seen.segments > 0 ? "; they can't be brought back" : ""}`;
      await confirmId(context, deviceRelease, args, { id: seen.device.id, text });
      const done = await devices.release(id, destroyData, { dryRun: false, signal });
      output.result({ dryRun: false, ...done }, () => output.line(`released ${what}`));
      return exitOk;
    });
  },
};
