/** Command-line words into checked values, by the option table of a verb. All mistakes are usage errors that say what is allowed. */
import { parseArgs } from "node:util";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseBytes } from "@couchestor/common/units/bytes.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { parseRate } from "@couchestor/common/units/rate.ts";
import type { CommandSpec, OptionSpec } from "./command-spec.ts";
import { globalOptions } from "./global-options.ts";
import { type OptionValue, ParsedArguments, UsageError } from "./parsed-arguments.ts";
import { nearest } from "./suggest.ts";

/** Parses the words after the verb. Throws `UsageError`. With `--help` among them only the form is checked. */
export function parseFor(command: CommandSpec, words: readonly string[]): ParsedArguments {
  const table = { ...globalOptions, ...command.options };
  const raw = parseRaw(command, table, words);
  const values = new Map<string, OptionValue>();
  for (const [name, value] of Object.entries(raw.values)) {
    const spec = table[name];
    if (spec === undefined || value === undefined) continue;
    values.set(name, checkValue(command, name, spec, value as string | boolean | string[]));
  }
  if (values.get("help") !== true) checkComplete(command, raw.positionals, values);
  return new ParsedArguments(command, raw.positionals, values);
}

type Table = Readonly<Record<string, OptionSpec>>;

function parseRaw(command: CommandSpec, table: Table, words: readonly string[]) {
  const options = Object.fromEntries(
    Object.entries(table).map(([name, spec]) => [
      name,
      {
        type: spec.kind === "flag" ? ("boolean" as const) : ("string" as const),
        multiple: spec.kind === "text-list",
        ...(name === "help" ? { short: "h" } : {}),
      },
    ]),
  );
  try {
    return parseArgs({ args: [...words], options, allowPositionals: true, strict: true });
  } catch (error) {
    throw new UsageError(explain(error, table, words), command);
  }
}

function explain(error: unknown, table: Table, words: readonly string[]): string {
  const unknown = words.find((word) => /^--[^=]+/.test(word) && !Object.hasOwn(table, optionName(word)));
  if (unknown !== undefined) {
    const guess = nearest(optionName(unknown), Object.keys(table));
    return `--${optionName(unknown)} is not an option here${guess === undefined ? "" : `; did you mean --${guess}?`}`;
  }
  return (error instanceof Error ? error.message : String(error)).split("\n")[0] ?? "wrong command line";
}

function optionName(word: string): string {
  return word.slice(2).split("=")[0] ?? "";
}

function checkValue(
  command: CommandSpec,
  name: string,
  spec: OptionSpec,
  value: string | boolean | string[],
): OptionValue {
  if (typeof value !== "string") return value;
  if (spec.choices !== undefined && !spec.choices.includes(value)) {
    throw new UsageError(`--${name}: got "${value}", allowed is one of ${spec.choices.join(", ")}`, command);
  }
  try {
    switch (spec.kind) {
      case "bytes":
        return parseBytes(value, `--${name}`);
      case "duration":
        return parseDuration(value, `--${name}`);
      case "rate":
        return parseRate(value, `--${name}`);
      case "count":
        return parseCount(value, name);
      default:
        return value;
    }
  } catch (error) {
    if (error instanceof AppError) throw new UsageError(error.message, command, { ...error.data, field: name });
    throw error;
  }
}

function parseCount(text: string, name: string): number {
  const count = Number(text);
  if (/^\d{1,16}$/.test(text) && Number.isSafeInteger(count)) return count;
  throw new AppError("InvalidArgument", `--${name}: got "${text}", allowed is a whole number from 0`);
}

function checkComplete(
  command: CommandSpec,
  positionals: readonly string[],
  values: ReadonlyMap<string, OptionValue>,
): void {
  const missing = command.arguments.find((argument, index) => argument.required && positionals[index] === undefined);
  if (missing !== undefined) throw new UsageError(`${missing.name} is missing: ${missing.help}`, command);
  const extra = positionals[command.arguments.length];
  if (extra !== undefined) throw new UsageError(`"${extra}" is one argument too many`, command);
  for (const [name, spec] of Object.entries(command.options)) {
    if (spec.required && !values.has(name)) {
      throw new UsageError(`--${name} ${spec.value ?? ""} is missing: ${spec.help}`.replace(/ {2,}/, " "), command);
    }
  }
}
