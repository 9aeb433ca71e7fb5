/** Options that verbs share. */
import type { CommandSpec, OptionSpec } from "./command-spec.ts";

/** Every verb has these. */
export const globalOptions: Readonly<Record<string, OptionSpec>> = {
  help: { kind: "flag", help: "Explain the verb, with examples" },
  json: { kind: "flag", help: "Print one JSON document on stdout; progress and notes go to stderr" },
};

/** Verbs that talk to a brain have these as well. */
export const brainOptions: Readonly<Record<string, OptionSpec>> = {
  brain: { kind: "text", value: "URL", help: "Admin address of the brain", defaultText: "$COUCHESTOR_BRAIN" },
  "data-dir": {
    kind: "directory",
    value: "DIR",
    help: "Find the brain through the data folder of a standalone or of a brain on this machine",
    defaultText: "$COUCHESTOR_DATA_DIR",
  },
  "tls-dir": {
    kind: "directory",
    value: "DIR",
    help: "Folder with admin.crt, admin.key, brain-ca.crt and agent-ca.crt, as `cert init` makes it",
    defaultText: "$COUCHESTOR_TLS_DIR",
  },
  "tls-cert": { kind: "file", value: "FILE", help: "The administrator's certificate (PEM)" },
  "tls-key": { kind: "file", value: "FILE", help: "Its key (PEM)" },
  "tls-ca": { kind: "text-list", value: "FILE", help: "A CA that signs brain or agents (PEM)" },
};

/** The option of that name, of the verb or common to all. */
export function optionOf(command: CommandSpec, name: string): OptionSpec | undefined {
  return command.options[name] ?? globalOptions[name];
}
