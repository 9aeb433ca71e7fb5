/** The command line: finds the verb, parses, runs it, and turns whatever happens into an exit code and words a person can use. */
import { AppError, isAppError } from "@couchestor/common/errors/app-error.ts";
import { onStopSignal } from "@couchestor/common/runtime/shutdown.ts";
import { type CliHost, type Command, exitFailed, exitOk, exitUsage } from "./command.ts";
import { commands } from "./commands.ts";
import { commandHelp, groupHelp, overviewHelp, usageLine } from "./help.ts";
import { otherWords } from "./other-words.ts";
import { createOutput, type Output, processStream } from "./output.ts";
import { parseFor } from "./parse.ts";
import { UsageError } from "./parsed-arguments.ts";
import { nearest } from "./suggest.ts";
import type { TextStream } from "./text-stream.ts";

export interface CliStreams {
  stdout: TextStream;
  stderr: TextStream;
}

/** Runs one call of the command line. `argv` is what follows the program's name. Returns the exit code; never throws. */
export async function runCli(argv: readonly string[], host: CliHost, streams?: CliStreams): Promise<number> {
  const { stdout, stderr } = streams ?? { stdout: processStream(1), stderr: processStream(2) };
  const output = createOutput({ json: wantsJson(argv), stdout, stderr, clock: host.clock, env: host.env });
  const stop = new AbortController();
  const forget = onStopSignal((signal) => stop.abort(new AppError("Cancelled", `stopped by ${signal}`)));
  try {
    return await dispatch(argv, host, output, stop.signal);
  } catch (error) {
    const cancelled = stop.signal.aborted && !isAppError(error) ? stop.signal.reason : error;
    output.failure(cancelled, hintFor(cancelled));
    return error instanceof UsageError || isAppError(error, "InvalidArgument") ? exitUsage : exitFailed;
  } finally {
    forget();
  }
}

function wantsJson(argv: readonly string[]): boolean {
  const end = argv.indexOf("--");
  return (end < 0 ? argv : argv.slice(0, end)).includes("--json");
}

async function dispatch(argv: readonly string[], host: CliHost, output: Output, signal: AbortSignal): Promise<number> {
  const words = leadingWords(argv);
  if (words.length === 0) {
    const unknown = argv.find((word) => !["--help", "-h", "--json"].includes(word));
    if (unknown !== undefined) throw new UsageError(`${unknown}: the verb comes first; \`couchestor help\` lists them`);
    output.line(overviewHelp(commands, otherWords));
    return argv.length === 0 ? exitUsage : exitOk;
  }
  const command = find(words);
  if (command === undefined) return unknownVerb(words, argv, output);
  const args = parseFor(command, argv.slice(command.path.length));
  if (args.flag("help")) {
    output.line(commandHelp(command));
    return exitOk;
  }
  return command.run({ host, output, signal, commands }, args);
}

/** The words before the first option. */
function leadingWords(argv: readonly string[]): string[] {
  const end = argv.findIndex((word) => word.startsWith("-"));
  return [...(end < 0 ? argv : argv.slice(0, end))];
}

function find(words: readonly string[]): Command | undefined {
  return commands.find((command) => command.path.every((word, index) => words[index] === word));
}

function unknownVerb(words: readonly string[], argv: readonly string[], output: Output): number {
  const [first = "", second] = words;
  const group = commands.filter((command) => command.path[0] === first);
  if (group.length > 0 && (second === undefined || argv.includes("--help"))) {
    const asked = argv.includes("--help") || argv.includes("-h");
    if (!asked && output.json)
      throw new UsageError(`couchestor ${first}: which verb? ${secondWords(group).join(", ")}`);
    output.line(groupHelp(first, commands));
    return asked ? exitOk : exitUsage;
  }
  if (group.length > 0 && second !== undefined) {
    const guess = nearest(second, secondWords(group));
    throw new UsageError(
      `"couchestor ${first} ${second}" is not a verb${guess === undefined ? "." : `; did you mean "couchestor ${first} ${guess}"?`} There are: ${secondWords(group).join(", ")}`,
    );
  }
  const guess = nearest(first, firstWords());
  throw new UsageError(
    `"${first}" is not a verb${guess === undefined ? ";" : `; did you mean "${guess}"?`} \`couchestor help\` lists them`,
  );
}

function firstWords(): string[] {
  return [...new Set([...commands.map((c) => c.path[0] ?? ""), ...otherWords.map(([word]) => word)])];
}

function secondWords(group: readonly Command[]): string[] {
  return group.map((command) => command.path[1] ?? "");
}

/** What to do next, where the error itself does not say. */
function hintFor(error: unknown): string | undefined {
  if (error instanceof UsageError && error.command !== undefined) {
    const words = error.command.path.join(" ");
    return `usage: ${usageLine(error.command)}\n\`couchestor ${words} --help\` explains it`;
  }
  if (isAppError(error, "Unavailable") && /certificate|handshake|TLS|ssl/i.test(error.message)) {
    return "It speaks mutual TLS: give --tls-dir with the files of `couchestor cert init`.";
  }
  if (isAppError(error, "Unavailable") && error.data["peer"] === "brain") {
    return "Is the brain running, and is this its admin address? A standalone writes it to standalone.json in its data folder.";
  }
  if (isAppError(error, "IncompatibleVersion")) return "`couchestor version` prints this program's version.";
  return undefined;
}
