/** What movers were answered, kept for those that report again: the newest so many. */
import type { ActDoneAnswer } from "@couchestor/common/api/acts.ts";

export class ActAnswers {
  readonly #max: number;
  readonly #answers = new Map<string, ActDoneAnswer>();

  constructor(max: number) {
    this.#max = max;
  }

  get(key: string): ActDoneAnswer | undefined {
    return this.#answers.get(key);
  }

  set(key: string, answer: ActDoneAnswer): void {
    this.#answers.set(key, answer);
    if (this.#answers.size <= this.#max) return;
    const oldest = this.#answers.keys().next().value;
    if (oldest !== undefined) this.#answers.delete(oldest);
  }
}
