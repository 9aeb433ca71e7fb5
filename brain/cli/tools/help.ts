/** `couchestor help` */
import { type Command, exitOk } from "../command.ts";
import { commandHelp, groupHelp, overviewHelp } from "../help.ts";
import { otherWords } from "../other-words.ts";
import { UsageError } from "../parsed-arguments.ts";

export const help: Command = {
  path: ["help"],
  summary: "List the verbs, or explain one",
  arguments: [
    { name: "VERB", help: "First word of the verb", required: false },
    { name: "VERB2", help: "Second word", required: false },
  ],
  options: {},
  examples: [{ command: "couchestor help volume import", text: "the same as: couchestor volume import --help" }],
  async run(context, args) {
    const { commands, output } = context;
    const words = [args.optionalArgument("VERB"), args.optionalArgument("VERB2")].filter((w) => w !== undefined);
    const exact = commands.find((command) => command.path.join(" ") === words.join(" "));
    const group = commands.some((command) => command.path[0] === words[0]);
    if (words.length > 0 && exact === undefined && (!group || words.length > 1)) {
      throw new UsageError(`"${words.join(" ")}" is not a verb; \`couchestor help\` lists them`);
    }
    const text =
      exact !== undefined
        ? commandHelp(exact)
        : group
          ? groupHelp(words[0] ?? "", commands)
          : overviewHelp(commands, otherWords);
    output.result({ help: text }, () => output.line(text));
    return exitOk;
  },
};
