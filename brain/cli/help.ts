/** `--help` and `couchestor help`: text made of the command table. */

import type { CommandSpec, OptionSpec } from "./command-spec.ts";
import { globalOptions } from "./global-options.ts";

/** The page of one verb. */
export function commandHelp(command: CommandSpec): string {
  const words = command.path.join(" ");
  const lines = [`couchestor ${words}: ${command.summary}`, "", `usage: ${usageLine(command)}`];
  if (command.description !== undefined) lines.push("", ...wrap(command.description, 88));
  if (command.arguments.length > 0) {
    lines.push("", "arguments:", ...columns(command.arguments.map((a) => [a.name, a.help])));
  }
  lines.push("", "options:", ...columns(optionRows({ ...command.options, ...globalOptions })));
  if (command.examples.length > 0) {
    lines.push("", "examples:");
    for (const example of command.examples) lines.push(`  # ${example.text}`, `  ${example.command}`);
  }
  return lines.join("\n");
}

/** `couchestor volume import NAME --file FILE [options]` */
export function usageLine(command: CommandSpec): string {
  const positionals = command.arguments.map((a) => (a.required ? a.name : `[${a.name}]`));
  const required = Object.entries(command.options)
    .filter(([, spec]) => spec.required)
    .map(([name, spec]) => `--${name}${spec.value === undefined ? "" : ` ${spec.value}`}`);
  return ["couchestor", ...command.path, ...positionals, ...required, "[options]"].join(" ");
}

/** The front page: all verbs, by their first word. */
export function overviewHelp(
  commands: readonly CommandSpec[],
  daemons: readonly (readonly [string, string])[],
): string {
  return [
    "couchestor: tiered, erasure-coded storage",
    "",
    "usage: couchestor VERB [arguments] [options]     (couchestor VERB --help explains a verb)",
    "",
    "verbs:",
    ...columns(commands.map((c) => [c.path.join(" "), c.summary])),
    "",
    "processes and tools:",
    ...columns(daemons.map(([name, summary]) => [name, summary])),
    "",
    "start here:",
    "  # see it work: six agents, a file, lost nodes, repair, audit",
    "  couchestor demo",
    "  # a cluster on this machine, to try things on",
    "  couchestor standalone --data-dir ./data --agents 6",
    "  couchestor volume import photos --file photos.img --code 4+2 --data-dir ./data",
    "",
    "exit codes: 0 done, 1 failed or a comparison failed, 2 wrong use, or a disk or data folder that is refused",
  ].join("\n");
}

/** The verbs below a first word: `couchestor volume`. */
export function groupHelp(word: string, commands: readonly CommandSpec[]): string {
  const members = commands.filter((c) => c.path[0] === word);
  return [
    `usage: couchestor ${word} VERB`,
    "",
    "verbs:",
    ...columns(members.map((c) => [c.path.join(" "), c.summary])),
  ].join("\n");
}

function optionRows(options: Readonly<Record<string, OptionSpec>>): string[][] {
  return Object.entries(options).map(([name, spec]) => [
    `--${name}${spec.kind === "flag" ? "" : ` ${spec.value ?? "VALUE"}`}${name === "help" ? ", -h" : ""}`,
    [
      spec.help,
      spec.choices === undefined ? "" : `one of ${spec.choices.join(", ")}`,
      spec.defaultText === undefined ? "" : `default: ${spec.defaultText}`,
      spec.kind === "text-list" ? "may be given several times" : "",
      spec.required ? "required" : "",
    ]
      .filter((part) => part !== "")
      .join("; "),
  ]);
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const width = Math.max(0, ...rows.map((row) => (row[0] ?? "").length));
  return rows.map((row) => `  ${(row[0] ?? "").padEnd(width)}  ${row[1] ?? ""}`.trimEnd());
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(/\s+/)) {
      if (line !== "" && line.length + 1 + word.length > width) {
        lines.push(line);
        line = word;
      } else line = line === "" ? word : `${line} ${word}`;
    }
    lines.push(line);
  }
  return lines;
}
