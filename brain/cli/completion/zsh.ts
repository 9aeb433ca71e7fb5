/** The completion script for zsh, made of the command table. */
import type { Command } from "../command.ts";
import type { OptionSpec } from "../command-spec.ts";
import { globalOptions } from "../global-options.ts";

/** The script, to be put as `_couchestor` into a folder of `$fpath`. */
export function zshCompletion(commands: readonly Command[], otherWords: readonly string[]): string {
  const first = [...new Set([...commands.map((c) => c.path[0] ?? ""), ...otherWords])];
  return `#compdef couchestor
_couchestor_names() {
  local -a names
  names=(\${(f)"$(timeout 2 couchestor $1 list --json 2>/dev/null | sed -n 's/^ \\{4,6\\}"name": "\\(.*\\)",$/\\1/p')"})
  compadd -a names
}
_couchestor() {
  local verb
  if (( CURRENT == 2 )); then
    compadd ${first.join(" ")}
    return
  fi
  verb=$words[2]
  case $verb in
${groupsOf(commands)
  .map(
    (group) =>
      `    ${group}) if (( CURRENT == 3 )); then compadd ${secondWords(group, commands)}; return; fi; verb="$verb $words[3]" ;;`,
  )
  .join("\n")}
  esac
  case $verb in
${commands.map(verbCase).join("\n")}
  esac
}
_couchestor "$@"`;
}

function groupsOf(commands: readonly Command[]): string[] {
  return [...new Set(commands.filter((c) => c.path.length > 1).map((c) => c.path[0] ?? ""))];
}

function secondWords(group: string, commands: readonly Command[]): string {
  return commands
    .filter((c) => c.path[0] === group && c.path.length > 1)
    .map((c) => c.path[1])
    .join(" ");
}

function verbCase(command: Command): string {
  const options = Object.entries({ ...command.options, ...globalOptions }).map(([name, spec]) =>
    optionText(name, spec),
  );
  const positionals = command.arguments.map((argument) => {
    const completes = argument.completes;
    const action =
      completes === undefined
        ? " "
        : typeof completes === "string"
          ? `_couchestor_names ${completes === "volumes" ? "volume" : "stripe"}`
          : `(${completes.join(" ")})`;
    return `'${argument.required ? "" : ":"}:${quote(argument.name)}:${action}'`;
  });
  const skip = command.path.length;
  return `    "${command.path.join(" ")}") shift ${skip} words; (( CURRENT -= ${skip} )); _arguments ${[...options, ...positionals].join(" ")} ;;`;
}

function optionText(name: string, spec: OptionSpec): string {
  const many = spec.kind === "text-list" ? "*" : "";
  const head = `${many}--${name}[${quote(spec.help)}]`;
  if (spec.kind === "flag") return `'${head}'`;
  const action =
    spec.choices !== undefined
      ? `(${spec.choices.join(" ")})`
      : spec.kind === "directory"
        ? "_files -/"
        : spec.kind === "file"
          ? "_files"
          : " ";
  return `'${head}:${quote(spec.value ?? "value")}:${action}'`;
}

/** Brackets and colons have a meaning for `_arguments`, quotes for the shell. */
function quote(text: string): string {
  return text.replace(/[[\]:\\]/g, (c) => `\\${c}`).replaceAll("'", "'\\''");
}
