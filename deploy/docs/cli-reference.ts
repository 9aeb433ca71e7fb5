/**
 * `docs/cli.md`: the reference of the command line, made of the same table as `--help`, so that the two can't differ.
 *
 *     bun deploy/docs/cli-reference.ts      writes it; a test fails when it is out of date
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentUsage } from "@couchestor/agent/config.ts";
import { commands } from "@couchestor/brain/cli/commands.ts";
import { commandHelp, overviewHelp } from "@couchestor/brain/cli/help.ts";
import { otherWords } from "@couchestor/brain/cli/other-words.ts";
import { brainUsage } from "@couchestor/brain/config.ts";
import { operatorUsage } from "@couchestor/brain/operator/flags.ts";

export const cliReferencePath = join(import.meta.dir, "../../docs/cli.md");

/** The whole document. */
export function cliReference(): string {
  const sections = commands.map((command) => section(command.path.join(" "), commandHelp(command)));
  return [
    "# Command line",
    "",
    "Made by `bun deploy/docs/cli-reference.ts` of what `couchestor VERB --help` prints; don't edit it by hand.",
    "",
    fenced(overviewHelp(commands, otherWords)),
    "",
    ...sections,
    section("agent", agentUsage),
    section("brain", brainUsage),
    section("brain --store kubernetes", operatorUsage),
  ]
    .join("\n")
    .trimEnd()
    .concat("\n");
}

function section(title: string, text: string): string {
  return `## ${title}\n\n${fenced(text)}\n`;
}

function fenced(text: string): string {
  return `\`\`\`text\n${text}\n\`\`\``;
}

if (import.meta.main) writeFileSync(cliReferencePath, cliReference());
