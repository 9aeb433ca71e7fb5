/** `couchestor volume list` */
import { formatCode } from "@couchestor/common/code/code.ts";
import { type Command, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { paintState } from "../output.ts";
import { shareText, sizeText } from "../text.ts";
import { unreadableNotes } from "./unreadable.ts";

export const volumeList: Command = {
  path: ["volume", "list"],
  summary: "List volumes with their state",
  arguments: [],
  options: brainOptions,
  examples: [{ command: "couchestor volume list --data-dir ./data", text: "all volumes of a standalone" }],
  async run(context, args) {
    const { output } = context;
    const volumes = await (await connectBrain(context, args)).volumes();
    output.result({ volumes }, () => {
      if (volumes.length === 0)
        return output.line("no volumes yet; make one: couchestor volume import NAME --file FILE");
      output.table(
        ["name", "phase", "health", "size", "code", "stripe", "runs", "written", "degraded", "lost"],
        volumes.map((v) => [
          v.name,
          paintState(output, v.phase),
          paintState(output, v.health),
          sizeText(v.sizeBytes),
          formatCode(v.code),
          sizeText(v.stripeSizeBytes),
          `${v.runs.total}`,
          shareText(v.runs.written, v.runs.total),
          `${v.runs.degraded}`,
          `${v.runs.unrecoverable}`,
        ]),
        { right: [3, 5, 6, 7, 8, 9] },
      );
      for (const note of volumes.flatMap(unreadableNotes)) output.line(output.paint(note, "bad"));
    });
    return exitOk;
  },
};
