/** What a verb says of itself: help, completion and the parser are made of it. */

export interface OptionSpec {
  /** `flag` takes no value; `text-list` may be given several times; `bytes`, `duration`, `rate` and `count` are checked. */
  kind: "flag" | "text" | "text-list" | "bytes" | "duration" | "rate" | "count" | "file" | "directory";
  /** Name of the value in the help: `SIZE`. Not for flags. */
  value?: string;
  help: string;
  /** Shown in the help; the verb applies it. */
  defaultText?: string;
  /** The values allowed, for help, completion and checking. */
  choices?: readonly string[];
  required?: boolean;
}

export interface ArgumentSpec {
  name: string;
  help: string;
  required: boolean;
  /** What completion offers. */
  completes?: "volumes" | "stripes" | readonly string[];
}

/** All of a verb but what it does. */
export interface CommandSpec {
  /** The words that call it: `["volume", "import"]`. */
  path: readonly string[];
  summary: string;
  /** Longer text for `--help`: what happens, what is safe, what to do next. */
  description?: string;
  arguments: readonly ArgumentSpec[];
  options: Readonly<Record<string, OptionSpec>>;
  examples: readonly { command: string; text: string }[];
}
