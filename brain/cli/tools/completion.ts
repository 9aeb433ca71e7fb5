/** `couchestor completion` */
import { type Command, exitOk } from "../command.ts";
import { bashCompletion } from "../completion/bash.ts";
import { zshCompletion } from "../completion/zsh.ts";
import { otherWords } from "../other-words.ts";
import { UsageError } from "../parsed-arguments.ts";

const shells = ["bash", "zsh"] as const;

export const completion: Command = {
  path: ["completion"],
  summary: "Print a completion script for bash or zsh",
  arguments: [{ name: "SHELL", help: "bash or zsh", required: true, completes: shells }],
  options: {},
  examples: [
    { command: "couchestor completion bash > ~/.local/share/bash-completion/completions/couchestor", text: "bash" },
    { command: "couchestor completion zsh > ~/.zfunc/_couchestor", text: "zsh, with ~/.zfunc in $fpath" },
  ],
  async run(context, args) {
    const shell = args.argument("SHELL");
    if (shell !== "bash" && shell !== "zsh") {
      throw new UsageError(`SHELL: got "${shell}", allowed is one of ${shells.join(", ")}`, completion);
    }
    const words = otherWords.map(([word]) => word);
    const script = shell === "bash" ? bashCompletion(context.commands, words) : zshCompletion(context.commands, words);
    context.output.result({ shell, script }, () => context.output.line(script));
    return exitOk;
  },
};
