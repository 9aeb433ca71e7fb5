/** Command-line words into checked values, by the option table of a verb. All mistakes are usage errors that say what is allowed. */
import { parseArgs } from "node:util";
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { parseBytes } from "@couchestor/common/units/bytes.ts";
import { parseDuration } from "@couchestor/common/units/duration.ts";
import { parseRate } from "@couchestor/common/units/rate.ts";
import type { Command, OptionSpec } from "./command.ts";
import { globalOptions } from "./global-options.ts";
import { nearest } from "./suggest.ts";

/** A wrong command line: exit code 2. */
export class UsageError extends AppError {
  /** The verb whose `--help` explains it, if one was recognized. */
  readonly command: Command | undefined;

  constructor(message: string, command?: Command, data: Record<string, unknown> = {}) {
    super("InvalidArgument", message, { data });
    this.command = command;
  }
}

export type OptionValue = string | number | boolean | readonly string[];

/** The checked values of one call. Asking for an option that the verb does not have is a bug and throws. */
export class ParsedArguments {
  readonly #command: Command;
  readonly #positionals: readonly string[];
  readonly #values: ReadonlyMap<string, OptionValue>;

  constructor(command: Command, positionals: readonly string[], values: ReadonlyMap<string, OptionValue>) {
    this.#command = command;
    this.#positionals = positionals;
    this.#values = values;
  }

  /** A required positional argument, by its name in the table. */
  argument(name: string): string {
    const value = this.optionalArgument(name);
    if (value === undefined) throw new UsageError(`${name} is missing`, this.#command, { field: name });
    return value;
  }

  optionalArgument(name: string): string | undefined {
    const index = this.#command.arguments.findIndex((argument) => argument.name === name);
    if (index < 0) throw new Error(`${this.#command.path.join(" ")} has no argument ${name}`);
    return this.#positionals[index];
  }

  flag(name: string): boolean {
    return this.#value(name) === true;
  }

  text(name: string): string | undefined {
    const value = this.#value(name);
    return typeof value === "string" ? value : undefined;
  }

  /** The value of an option that the table marks as required. */
  requiredText(name: string): string {
    return this.text(name) ?? this.#missing(name);
  }

  list(name: string): readonly string[] {
    const value = this.#value(name);
    return Array.isArray(value) ? value : [];
  }

  /** Bytes, milliseconds, bytes per second or a count, by the kind of the option. */
  number(name: string): number | undefined {
    const value = this.#value(name);
    return typeof value === "number" ? value : undefined;
  }

  requiredNumber(name: string): number {
    return this.number(name) ?? this.#missing(name);
  }

  #value(name: string): OptionValue | undefined {
    if (optionOf(this.#command, name) === undefined) {
      throw new Error(`${this.#command.path.join(" ")} has no option --${name}`);
    }
    return this.#values.get(name);
  }

  #missing(name: string): never {
    throw new UsageError(`--${name} is missing`, this.#command, { field: name });
  }
}

/** Parses the words after the verb. Throws `UsageError`. With `--help` among them only the form is checked. */
export function parseFor(command: Command, words: readonly string[]): ParsedArguments {
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

function parseRaw(command: Command, table: Table, words: readonly string[]) {
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

function checkValue(command: Command, name: string, spec: OptionSpec, value: string | boolean | string[]): OptionValue {
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
  command: Command,
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

/** The option of that name, of the verb or common to all. */
export function optionOf(command: Command, name: string): OptionSpec | undefined {
  return command.options[name] ?? globalOptions[name];
}
