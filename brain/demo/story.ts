/** The steps of the demo: each is timed, said aloud with ✓ or ✗, and kept for the table and the JSON document at the end. */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { toProblem } from "@couchestor/common/errors/http.ts";
import type { Clock } from "@couchestor/common/runtime/clock.ts";
import type { Output } from "../cli/output.ts";
import { secondsText } from "../cli/progress.ts";

export interface StepResult {
  /** Whether everything that was compared in this step was as it must be. */
  ok: boolean;
  /** What came out, in a line. */
  text: string;
  /** Further lines for the person. */
  details?: readonly string[];
  figures?: Record<string, unknown>;
}

export interface StepRecord extends StepResult {
  name: string;
  title: string;
  seconds: number;
  error?: ReturnType<typeof toProblem>;
}

/** What mark, name, time and the lines between them take of the table's width. */
const otherColumns = 36;

export class Story {
  readonly steps: StepRecord[] = [];
  readonly #output: Output;
  readonly #clock: Clock;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  get ok(): boolean {
    return this.steps.every((step) => step.ok);
  }

  /** Runs one step. A failed comparison is recorded and the story goes on; an error is recorded and ends it. */
  async step<T>(name: string, title: string, body: () => Promise<StepResult & { value?: T }>): Promise<T | undefined> {
    const startMs = this.#clock.monotonicMs();
    const seconds = (): number => (this.#clock.monotonicMs() - startMs) / 1000;
    try {
      const { value, ...result } = await body();
      this.#add({ name, title, seconds: seconds(), ...result });
      return value;
    } catch (error) {
      const problem = toProblem(error);
      const text =
        error instanceof AppError || !(error instanceof Error) ? problem.detail : `${error.name}: ${error.message}`;
      this.#add({ name, title, seconds: seconds(), ok: false, text, error: problem });
      throw error;
    }
  }

  #add(record: StepRecord): void {
    this.steps.push(record);
    const mark = record.ok ? this.#output.paint("✓", "good") : this.#output.paint("✗", "bad");
    const time = this.#output.paint(secondsText(record.seconds), "dim");
    this.#output.line(
      `${mark} ${`${this.steps.length}`.padStart(2)}  ${this.#output.paint(record.title, "strong")}  ${time}`,
    );
    this.#output.line(`      ${record.ok ? record.text : this.#output.paint(record.text, "bad")}`);
    for (const detail of record.details ?? []) this.#output.line(`      ${detail}`);
  }

  /** The table at the end. */
  summary(): void {
    const width = Math.max(40, this.#output.columns - otherColumns);
    this.#output.line();
    this.#output.table(
      ["", "step", "time", "result"],
      this.steps.map((step) => [
        step.ok ? this.#output.paint("✓", "good") : this.#output.paint("✗", "bad"),
        step.name,
        secondsText(step.seconds),
        step.text.length > width ? `${step.text.slice(0, width - 1)}…` : step.text,
      ]),
      { right: [2] },
    );
  }
}
