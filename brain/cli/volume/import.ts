/** `couchestor volume import` */
import { formatCode } from "@couchestor/common/code/code.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { UsageError } from "../parsed-arguments.ts";
import { secondsText } from "../progress.ts";
import { countText, sizeText } from "../text.ts";
import { importFile } from "../transfer/import-file.ts";
import { newVolumeName } from "./arguments.ts";
import { shapeOf, shapeOptions } from "./shape.ts";

const runsInFlightDefault = 3;
const runsInFlightMax = 8;

export const volumeImport: Command = {
  path: ["volume", "import"],
  summary: "Bring a file into a new erasure-coded volume",
  description:
    "The file is sent run by run to the agents, which encode it and place the shards; a run is in when its commit is durable. " +
    "If it is interrupted, the same command again goes on where it stopped. The file must not change meanwhile; if it does, that is noticed.",
  arguments: [newVolumeName],
  options: {
    file: { kind: "file", value: "FILE", help: "The file to bring in", required: true },
    ...shapeOptions,
    "runs-in-flight": {
      kind: "count",
      value: "N",
      help: "Runs on their way at a time, 1 to 8",
      defaultText: `${runsInFlightDefault}`,
    },
    ...brainOptions,
  },
  examples: [
    {
      command: "couchestor volume import photos --file photos.img --data-dir ./data",
      text: "4+2: half as much again on disk, any two pools may be lost",
    },
    {
      command:
        "couchestor volume import photos --file photos.img --code 8+3 --stripe-size 4MiB --brain https://brain:7401",
      text: "another code and stripe size",
    },
  ],
  async run(context, args) {
    const { output } = context;
    const runsInFlight = args.number("runs-in-flight") ?? runsInFlightDefault;
    if (runsInFlight < 1 || runsInFlight > runsInFlightMax) {
      throw new UsageError(`--runs-in-flight: got ${runsInFlight}, allowed is 1 to ${runsInFlightMax}`, volumeImport);
    }
    const client = await connectBrain(context, args);
    const bar = output.progress({ label: "import", total: 0, unit: "bytes" });
    const result = await importFile({
      client,
      clock: context.host.clock,
      signal: context.signal,
      name: args.argument("NAME"),
      path: args.requiredText("file"),
      ...shapeOf(args),
      runsInFlight,
      onProgress: (done, total) => bar.update(done, { total }),
      onNote: (text) => output.note(text),
    }).finally(() => bar.stop());
    output.result(result, () => {
      const { volume, seconds } = result;
      const rate = seconds > 0 ? `, ${sizeText(Math.round(volume.sizeBytes / seconds))}/s` : "";
      output.line(`volume ${volume.name}: ${sizeText(volume.sizeBytes)} in ${secondsText(seconds)}${rate}`);
      output.line(
        `code    ${formatCode(volume.code)}${result.codecs.length > 0 ? ` by ${result.codecs.join(", ")}` : ""}`,
      );
      output.line(
        `runs    ${result.runs}${result.runsAlreadyThere > 0 ? `, ${result.runsAlreadyThere} of them were there already` : ""}`,
      );
      if (result.retries > 0) output.line(`again   ${countText(result.retries, "act")} had to be done again`);
      output.line(`sha256  ${result.contentSha256}`);
    });
    return exitOk;
  },
};
