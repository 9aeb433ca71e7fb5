/** `couchestor volume delete` */
import { createInterface } from "node:readline/promises";
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { type Command, type CommandContext, exitOk } from "../command.ts";
import { connectBrain } from "../connect.ts";
import { brainOptions } from "../global-options.ts";
import { UsageError } from "../parsed-arguments.ts";
import { countText, sizeText } from "../text.ts";
import { volumeName } from "./arguments.ts";

export const volumeDelete: Command = {
  path: ["volume", "delete"],
  summary: "Delete a volume and its data",
  description:
    "The data can't be brought back. The chunks are deleted in the background, those of pools that are away when they return. " +
    "Asks for the name again on a terminal; elsewhere --yes is needed.",
  arguments: [volumeName],
  options: {
    yes: { kind: "flag", help: "Don't ask" },
    "dry-run": { kind: "flag", help: "Say what would be deleted, and delete nothing" },
    wait: { kind: "flag", help: "Wait until all chunks that can be reached are gone" },
    ...brainOptions,
  },
  examples: [
    { command: "couchestor volume delete photos --dry-run --data-dir ./data", text: "what would go" },
    { command: "couchestor volume delete photos --yes --data-dir ./data", text: "without a question, for scripts" },
  ],
  async run(context, args) {
    const { output } = context;
    const client = await connectBrain(context, args);
    const volume = await client.volume(args.argument("NAME"));
    const what = `volume ${volume.name}: ${sizeText(volume.sizeBytes)}, ${countText(volume.runs.written, "run")}, ${volume.phase}, ${volume.health}`;
    if (args.flag("dry-run")) {
      output.result({ dryRun: true, volume }, () => output.line(`would delete ${what}`));
      return exitOk;
    }
    if (!args.flag("yes")) await confirm(context, volume.name, what);
    await client.deleteVolume(volume.name);
    if (args.flag("wait")) await gone(context, () => client.volume(volume.name));
    output.result({ deleted: volume.name, volumeUuid: volume.volumeUuid }, () =>
      output.line(`volume ${volume.name} ${args.flag("wait") ? "is deleted" : "is being deleted"}`),
    );
    return exitOk;
  },
};

/** Asks for the name on a terminal; refuses where nobody can answer. */
async function confirm(context: CommandContext, name: string, what: string): Promise<void> {
  if (!process.stdin.isTTY || context.output.json) {
    throw new UsageError(`${what}: give --yes to delete it; the data can't be brought back`, volumeDelete);
  }
  context.output.note(`this deletes ${what}. The data can't be brought back.`);
  const question = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await question.question("type the name of the volume to delete it: ", { signal: context.signal });
    if (answer.trim() !== name)
      throw new AppError("Cancelled", `"${answer.trim()}" is not ${name}; nothing was deleted`);
  } finally {
    question.close();
  }
}

async function gone(context: CommandContext, look: () => Promise<unknown>): Promise<void> {
  for (;;) {
    try {
      await look();
    } catch (error) {
      if (isAppError(error, "NotFound")) return;
      throw error;
    }
    await context.host.clock.sleep(250, context.signal);
  }
}
