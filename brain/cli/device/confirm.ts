/** Asks a person to type the device's id before something is lost for good. */
import { createInterface } from "node:readline/promises";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { Command, CommandContext } from "../command.ts";
import { type ParsedArguments, UsageError } from "../parsed-arguments.ts";

export const confirmOptions = {
  yes: { kind: "flag", help: "Don't ask" },
  "dry-run": { kind: "flag", help: "Say what would be written and lost, and write nothing" },
} as const;

/** Returns when `--yes` is given or the id was typed. Throws `UsageError` where nobody can answer, `Cancelled` for another answer. */
export async function confirmId(
  context: CommandContext,
  command: Command,
  args: ParsedArguments,
  what: { id: string; text: string },
): Promise<void> {
  if (args.flag("yes")) return;
  const { output, signal } = context;
  if (!process.stdin.isTTY || output.json) {
    throw new UsageError(`${what.text}: give --yes to do it, or --dry-run to see what it would do`, command);
  }
  output.note(what.text);
  const question = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await question.question("type the id of the device to go on: ", { signal });
    if (answer.trim() === what.id) return;
    throw new AppError("Cancelled", `"${answer.trim()}" is not ${what.id}; nothing was written`);
  } finally {
    question.close();
  }
}
