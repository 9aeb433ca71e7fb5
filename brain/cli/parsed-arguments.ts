/** The words of a command line once they are understood. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import type { CommandSpec } from "./command-spec.ts";
import { optionOf } from "./global-options.ts";

/** A wrong command line: exit code 2. */
export class UsageError extends AppError {
  /** The verb whose `--help` explains it, if one was recognized. */
  readonly command: CommandSpec | undefined;

  constructor(message: string, command?: CommandSpec, data: Record<string, unknown> = {}) {
    super("InvalidArgument", message, { data });
    this.command = command;
  }
}

export type OptionValue = string | number | boolean | readonly string[];

/** The checked values of one call. Asking for an option that the verb does not have is a bug and throws. */
export class ParsedArguments {
  readonly #command: CommandSpec;
  readonly #positionals: readonly string[];
  readonly #values: ReadonlyMap<string, OptionValue>;

  constructor(command: CommandSpec, positionals: readonly string[], values: ReadonlyMap<string, OptionValue>) {
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
