/** `couchestor volume create` */
import { formatCode } from "@couchestor/common/code/code.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { countText, sizeText } from "../text.ts";
import { newVolumeName } from "./arguments.ts";
import { shapeOf, shapeOptions } from "./shape.ts";

export const volumeCreate: Command = {
  path: ["volume", "create"],
  summary: "Make an empty volume, which reads as zeros",
  description: "To bring a file in, use `volume import`, which makes the volume itself.",
  arguments: [newVolumeName],
  options: {
    size: { kind: "bytes", value: "SIZE", help: "Size of the volume", required: true },
    ...shapeOptions,
    ...brainOptions,
  },
  examples: [
    { command: "couchestor volume create scratch --size 10GiB", text: "10 GiB, 4+2" },
    {
      command: "couchestor volume create cold --size 1TiB --code 8+3 --pool-label tier=cold",
      text: "on cold pools only",
    },
  ],
  async run(context, args) {
    const client = await connectBrain(context, args);
    const name = args.argument("NAME");
    const shape = shapeOf(args);
    await client.createVolume({
      name,
      sizeBytes: args.requiredNumber("size"),
      code: shape.code,
      importing: false,
      ...(shape.stripeSizeBytes === undefined ? {} : { stripeSizeBytes: shape.stripeSizeBytes }),
      ...(shape.stripesPerRun === undefined ? {} : { stripesPerRun: shape.stripesPerRun }),
      ...(shape.placement === undefined ? {} : { placement: shape.placement }),
    });
    const volume = await client.volume(name);
    context.output.result(volume, () =>
      context.output.line(
        `volume ${name} created: ${sizeText(volume.sizeBytes)}, ${formatCode(volume.code)}, ${countText(volume.runs.total, "run")}`,
      ),
    );
    return exitOk;
  },
};
