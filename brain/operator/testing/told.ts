/** An informer for tests: who changes what it shows tells it, and it tells its handlers at once. */
import type { Source } from "../../runtime/controller.ts";

export class Told<Kept> implements Source<Kept> {
  readonly whenSynced = Promise.resolve();
  readonly values: () => Iterable<Kept>;
  readonly #handlers: Parameters<Source<Kept>["addHandler"]>[0][] = [];

  constructor(values: () => Iterable<Kept>) {
    this.values = values;
  }

  addHandler(handler: Parameters<Source<Kept>["addHandler"]>[0]): void {
    this.#handlers.push(handler);
  }

  tell(kept: Kept, before: Kept | undefined): void {
    for (const handler of this.#handlers)
      if (before === undefined) handler.added?.(kept);
      else handler.updated?.(kept, before);
  }
}
