/**
 * Everything the command line prints goes through here; nothing else in this package writes to the terminal.
 *
 * Without `--json`: lines and tables on stdout, progress and notes on stderr. With it: exactly one JSON document on stdout, all the
 * rest on stderr. Boxes, colours and moving bars are for terminals only (and never with NO_COLOR or TERM=dumb for colours).
 */
import { writeSync } from "node:fs";
import { toProblem } from "@couchestor/common/errors/http.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { createProgress, type Progress, type ProgressOptions } from "./progress.ts";
import { renderTable, type TableOptions } from "./table.ts";
import type { TextStream } from "./text-stream.ts";

export type Tone = "good" | "warn" | "bad" | "dim" | "strong";

export interface Output {
  readonly json: boolean;
  /** Width of the terminal; 100 where there is none. */
  readonly columns: number;
  /** A line for the person. */
  line(text?: string): void;
  /** A line on stderr, in either mode. */
  note(text: string): void;
  /** The result: `value` as JSON with `--json`, else what `human` prints. */
  result(value: unknown, human: () => void): void;
  table(head: readonly string[], rows: readonly (readonly string[])[], options?: TableOptions): void;
  /** Raw bytes on stdout, for `--file -`. */
  data(bytes: Uint8Array): void;
  progress(options: ProgressOptions): Progress;
  /** The error, for the person or as one problem document. */
  failure(error: unknown, hint?: string): void;
  /** `text` in a colour where there are colours. */
  paint(text: string, tone: Tone): string;
  /** The same output, with stdout kept free for data. */
  withDataOnStdout(): Output;
}

export interface OutputOptions {
  json: boolean;
  stdout: TextStream;
  stderr: TextStream;
  clock: Clock;
  env: Readonly<Record<string, string | undefined>>;
  dataOnStdout?: boolean;
}

const colours: Record<Tone, string> = { good: "32", warn: "33", bad: "31", dim: "2", strong: "1" };

/** Makes the output of one call of the program. */
export function createOutput(options: OutputOptions): Output {
  const { json, stdout, stderr, clock, env } = options;
  const people = json || options.dataOnStdout ? stderr : stdout;
  const colour = people.isTty && !env["NO_COLOR"] && env["TERM"] !== "dumb";
  const paint = (text: string, tone: Tone): string => (colour ? `\x1b[${colours[tone]}m${text}\x1b[0m` : text);
  const line = (text = ""): void => people.write(`${text}\n`);
  return {
    json,
    columns: people.columns,
    line,
    note: (text) => stderr.write(`${text}\n`),
    result(value, human) {
      if (json && !options.dataOnStdout) stdout.write(`${JSON.stringify(value, null, 2)}\n`);
      else if (json) stderr.write(`${JSON.stringify(value)}\n`);
      else human();
    },
    table: (head, rows, tableOptions) =>
      line(renderTable(head, rows, { boxes: people.isTty, colour, ...tableOptions })),
    data: (bytes) => stdout.write(bytes),
    progress: (progressOptions) => createProgress(progressOptions, stderr, clock),
    failure(error, hint) {
      const problem = toProblem(error);
      if (json) return stdout.write(`${JSON.stringify({ error: problem, ...(hint ? { hint } : {}) }, null, 2)}\n`);
      const unexpected = problem.code === "Internal" && error instanceof Error && error.name !== "AppError";
      const text = unexpected ? `${(error as Error).name}: ${(error as Error).message}` : problem.detail;
      stderr.write(`${stderr.isTty && colour ? "\x1b[31merror:\x1b[0m" : "error:"} ${text}\n`);
      if (hint !== undefined) stderr.write(`${hint}\n`);
    },
    paint,
    withDataOnStdout: () => createOutput({ ...options, dataOnStdout: true }),
  };
}

/** The process's own stdout (1) or stderr (2), written at once, so that nothing is lost when the process ends. */
export function processStream(fd: 1 | 2): TextStream {
  const stream = fd === 1 ? process.stdout : process.stderr;
  return {
    isTty: stream.isTTY === true,
    get columns() {
      // A terminal that does not know its width says 0.
      return stream.columns || 100;
    },
    write: (bytes) => writeAll(fd, typeof bytes === "string" ? Buffer.from(bytes) : bytes),
  };
}

/** A reader that has gone away (`| head`) ends the program quietly, as other tools do. */
function writeAll(fd: number, bytes: Uint8Array): void {
  let done = 0;
  while (done < bytes.length) {
    try {
      done += writeSync(fd, bytes, done);
    } catch (error) {
      const code = (error as NodeJS.ErrnoException).code;
      if (code === "EAGAIN") waitForReader();
      else if (code === "EPIPE") process.exit(fd === 1 ? 1 : 0);
      else throw error;
    }
  }
}

/** A pipe that is full for the moment and must not block: a millisecond, without giving up the order of what is written. */
function waitForReader(): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
}

/** `Healthy`, `Online` … in the colour of what they mean. */
export function paintState(output: Output, state: string): string {
  if (["Healthy", "Online", "Ready", "Done"].includes(state)) return output.paint(state, "good");
  if (["Degraded", "Importing", "Deleting", "Full", "ReadOnly", "Running"].includes(state))
    return output.paint(state, "warn");
  if (["Unrecoverable", "Incomplete", "Held", "Offline", "Failed"].includes(state)) return output.paint(state, "bad");
  return output.paint(state, "dim");
}
