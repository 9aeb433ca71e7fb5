/** How much a counter has grown within the last day, out of at most 25 marks. */

const windowMs = 24 * 3_600_000;
const markEveryMs = 3_600_000;

export class GrowthWatch {
  /** Oldest first; the oldest is at most an hour older than the window. */
  #marks: { atMs: number; value: number }[] = [];
  #latest: number | undefined;

  /** Takes note of the counter's value at a monotonic time. One that went back was reset, and counts from there. */
  note(value: number | undefined, nowMs: number): void {
    if (value === undefined) return;
    if (this.#latest !== undefined && value < this.#latest) this.#marks = [];
    this.#latest = value;
    const last = this.#marks.at(-1);
    if (last === undefined || nowMs - last.atMs >= markEveryMs) this.#marks.push({ atMs: nowMs, value });
    while ((this.#marks[1]?.atMs ?? nowMs) <= nowMs - windowMs) this.#marks.shift();
  }

  /** Undefined until the counter has been seen; what it had before the first look is not growth. */
  get growth(): number | undefined {
    const first = this.#marks[0];
    return first === undefined || this.#latest === undefined ? undefined : this.#latest - first.value;
  }
}
