/** `couchestor volume export` */
import { isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Command, type CommandContext, exitFailed, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import type { Output } from "../output.ts";
import type { ParsedArguments } from "../parsed-arguments.ts";
import { secondsText } from "../progress.ts";
import { describeLosses } from "../stripe/losses.ts";
import { sizeText } from "../text.ts";
import { type ExportOptions, type ExportResult, exportVolume } from "../transfer/export-volume.ts";
import { TargetFile } from "../transfer/target-file.ts";
import { volumeName } from "./arguments.ts";

export const volumeExport: Command = {
  path: ["volume", "export"],
  summary: "Read a volume, or a part of it, into a file",
  description:
    "Shards that are missing are computed from the others on the way. The file appears under its name only when all of it is there, " +
    "durable and equal to the sha256 of the import.",
  arguments: [volumeName],
  options: {
    file: { kind: "file", value: "FILE", help: "Where to; - for stdout", required: true },
    offset: { kind: "bytes", value: "BYTES", help: "First byte", defaultText: "0" },
    length: { kind: "bytes", value: "BYTES", help: "How many bytes", defaultText: "to the end" },
    overwrite: { kind: "flag", help: "Replace the file if it exists" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor volume export photos --file restored.img --data-dir ./data", text: "the whole volume" },
    {
      command: "couchestor volume export photos --file - --offset 1MiB --length 4KiB | xxd | head",
      text: "4 KiB of it, on stdout",
    },
  ],
  async run(context, args) {
    const path = args.requiredText("file");
    const output = path === "-" ? context.output.withDataOnStdout() : context.output;
    const client = await connectBrain(context, args);
    const name = args.argument("NAME");
    const bar = output.progress({ label: "export", total: 0, unit: "bytes" });
    const options: Omit<ExportOptions, "sink"> = {
      client,
      clock: context.host.clock,
      signal: context.signal,
      name,
      offset: args.number("offset"),
      length: args.number("length"),
      onProgress: (done, total) => bar.update(done, { total }),
      onNote: (text) => output.note(text),
    };
    try {
      const result = path === "-" ? await toStdout(output, options) : await toFile(path, args, options);
      bar.stop();
      return report(output, path, result);
    } catch (error) {
      bar.stop();
      if (!isAppError(error, "Unrecoverable")) throw error;
      throw describeLosses(error, name, await client.stripes(name).catch(() => []));
    }
  },
};

async function toStdout(output: Output, options: Omit<ExportOptions, "sink">): Promise<ExportResult> {
  return exportVolume({ ...options, sink: (bytes) => output.data(bytes) });
}

async function toFile(
  path: string,
  args: ParsedArguments,
  options: Omit<ExportOptions, "sink">,
): Promise<ExportResult> {
  const target = await TargetFile.create(path, args.flag("overwrite"));
  try {
    const result = await exportVolume({ ...options, sink: (bytes, offset) => target.write(bytes, offset) });
    if (result.matches === false) await target.discard();
    else await target.commit();
    return result;
  } catch (error) {
    await target.discard();
    throw error;
  }
}

function report(output: CommandContext["output"], path: string, result: ExportResult): number {
  const failed = result.matches === false;
  output.result({ ...result, file: path, ok: !failed }, () => {
    const rate = result.seconds > 0 ? `, ${sizeText(Math.round(result.length / result.seconds))}/s` : "";
    output.line(
      `volume ${result.volume.name}: ${sizeText(result.length)} in ${secondsText(result.seconds)}${rate}, from ${result.readers.join(", ")}`,
    );
    output.line(`sha256  ${result.sha256}`);
    if (result.matches === true) output.line(output.paint("equal to the sha256 of the import", "good"));
    if (failed) {
      output.line(output.paint(`NOT equal to the sha256 of the import, ${result.volume.contentSha256}`, "bad"));
      output.line(path === "-" ? "do not use these bytes" : `${path} was not written`);
    }
  });
  return failed ? exitFailed : exitOk;
}
