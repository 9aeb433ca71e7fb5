/** The completion script for bash, made of the command table. */
import type { Command } from "../command.ts";
import type { OptionSpec } from "../command-spec.ts";
import { globalOptions } from "../global-options.ts";

/** The script. Names of volumes and runs are asked of the brain, if one is known and answers within a second or so. */
export function bashCompletion(commands: readonly Command[], otherWords: readonly string[]): string {
  const first = [...new Set([...commands.map((c) => c.path[0] ?? ""), ...otherWords])].join(" ");
  const groups = [...new Set(commands.filter((c) => c.path.length > 1).map((c) => c.path[0] ?? ""))];
  return `# bash completion for couchestor
_couchestor_names() {
  timeout 2 couchestor "$1" list --json 2>/dev/null | sed -n 's/^ \\{4,6\\}"name": "\\(.*\\)",$/\\1/p'
}
_couchestor() {
  local cur prev verb
  cur=\${COMP_WORDS[COMP_CWORD]}
  prev=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "${first}" -- "$cur"))
    return
  fi
  verb=\${COMP_WORDS[1]}
  case $verb in
${groups.map((group) => secondWord(group, commands)).join("\n")}
  esac
  case $prev in
${optionValues(commands)}
  esac
  case $verb in
${commands.map(verbCase).join("\n")}
  esac
}
complete -F _couchestor couchestor`;
}

function secondWord(group: string, commands: readonly Command[]): string {
  const words = commands.filter((c) => c.path[0] === group && c.path.length > 1).map((c) => c.path[1] ?? "");
  return `    ${group})
      if [ "$COMP_CWORD" -eq 2 ]; then COMPREPLY=($(compgen -W "${words.join(" ")}" -- "$cur")); return; fi
      verb="$verb \${COMP_WORDS[2]}" ;;`;
}

function optionValues(commands: readonly Command[]): string {
  const all = new Map<string, OptionSpec>();
  for (const command of commands) for (const [name, spec] of Object.entries(command.options)) all.set(name, spec);
  const lines = [...all].flatMap(([name, spec]) => {
    if (spec.choices !== undefined) {
      return [`    --${name}) COMPREPLY=($(compgen -W "${spec.choices.join(" ")}" -- "$cur")); return ;;`];
    }
    if (spec.kind === "directory") return [`    --${name}) COMPREPLY=($(compgen -d -- "$cur")); return ;;`];
    if (spec.kind === "file") return [`    --${name}) COMPREPLY=($(compgen -f -- "$cur")); return ;;`];
    return spec.kind === "flag" ? [] : [`    --${name}) return ;;`];
  });
  return lines.join("\n");
}

function verbCase(command: Command): string {
  const options = Object.keys({ ...command.options, ...globalOptions }).map((name) => `--${name}`);
  const argument = command.arguments.find((a) => a.completes !== undefined)?.completes;
  const names =
    argument === undefined
      ? ""
      : typeof argument === "string"
        ? ` $(_couchestor_names ${argument === "volumes" ? "volume" : "stripe"})`
        : ` ${argument.join(" ")}`;
  return `    "${command.path.join(" ")}") if [[ $cur == -* ]]; then COMPREPLY=($(compgen -W "${options.join(" ")}" -- "$cur")); else COMPREPLY=($(compgen -W "${names.trim()}" -- "$cur")); fi ;;`;
}
