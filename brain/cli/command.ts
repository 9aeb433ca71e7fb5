/**
 * What a verb of the command line is: its words, arguments, options and examples as data (help and completion are made of them),
 * and one function that runs it.
 */
import type { LocalDevices } from "@couchestor/common/api/local-devices.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { CommandSpec } from "./command-spec.ts";
import type { Output } from "./output.ts";
import type { ParsedArguments } from "./parsed-arguments.ts";

export interface Command extends CommandSpec {
  run(context: CommandContext, args: ParsedArguments): Promise<number>;
}

/** What the root entry knows and this package may not import. */
export interface CliHost {
  /** The command line that starts this very program: the compiled binary, or Bun and the source of the root entry. */
  program: readonly string[];
  env: Readonly<Record<string, string | undefined>>;
  clock: Clock;
  /** Which codec this machine has. Asked only when it is printed. */
  codec: () => Promise<CodecDescription>;
  /** The devices of this machine. */
  devices?: () => Promise<LocalDevices>;
}

export interface CodecDescription {
  /** `isa-l 2.31.1`, `webassembly` */
  description: string;
  checksum: string;
  /** Why it is not a faster one, if it is not. */
  notes: readonly string[];
}

export interface CommandContext {
  host: CliHost;
  output: Output;
  /** Aborts at SIGINT or SIGTERM: clean up and leave. */
  signal: AbortSignal;
  commands: readonly Command[];
}

/** Exit codes of every verb. */
export const exitOk = 0;
export const exitFailed = 1;
export const exitUsage = 2;
