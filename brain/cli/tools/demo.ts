/** `couchestor demo` */
import { type Command, exitFailed, exitOk } from "../command.ts";
import { UsageError } from "../parsed-arguments.ts";

const sizeBytesDefault = 256 * 1024 * 1024;
const sizeBytesMin = 12 * 1024 * 1024;
const sizeBytesMax = 16 * 1024 ** 3;

export const demo: Command = {
  path: ["demo"],
  summary: "See the main job on real data: import, lose nodes, read, rebuild, audit, repair rot",
  description:
    "Starts six agents and a brain on loopback in a folder of its own, imports a file, kills agents, reads the file back, waits for the rebuild, " +
    "audits, damages a chunk and has it repaired, and at last loses more than 4+2 bears. Everything is removed afterwards. Needs no root.",
  arguments: [],
  options: {
    file: { kind: "file", value: "FILE", help: "A file of yours, instead of an image made for it" },
    size: { kind: "bytes", value: "SIZE", help: "Size of the image", defaultText: "256MiB" },
    "data-dir": {
      kind: "directory",
      value: "DIR",
      help: "Where the demo makes its folder",
      defaultText: "the temporary folder",
    },
    keep: { kind: "flag", help: "Leave the folder there" },
  },
  examples: [
    { command: "couchestor demo", text: "with an ext4 image of 256 MiB" },
    { command: "couchestor demo --file holiday.mp4 --json", text: "with your file, figures as JSON" },
  ],
  async run(context, args) {
    const file = args.text("file");
    const sizeBytes = args.number("size") ?? sizeBytesDefault;
    if (sizeBytes < sizeBytesMin || sizeBytes > sizeBytesMax) {
      throw new UsageError("--size: allowed is 12MiB to 16GiB", demo);
    }
    const { runDemo } = await import("../../demo/demo.ts");
    const ok = await runDemo(context, { file, sizeBytes, dataDir: args.text("data-dir"), keep: args.flag("keep") });
    return ok ? exitOk : exitFailed;
  },
};
