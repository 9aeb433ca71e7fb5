/** Sources whose handlers end with a term: informers live as long as the brain, what acts on them only as long as it leads. */
import type { Source } from "../runtime/controller.ts";

type Handler<Kept> = Parameters<Source<Kept>["addHandler"]>[0];

/** Hands on what a source tells, to handlers that can be taken away again. One for each source and process. */
export class Relay<Kept> {
  readonly #source: Source<Kept>;
  readonly #handlers = new Set<Handler<Kept>>();

  constructor(source: Source<Kept>) {
    this.#source = source;
    source.addHandler({
      added: (object) => this.#tell((handler) => handler.added?.(object)),
      updated: (object, before) => this.#tell((handler) => handler.updated?.(object, before)),
      deleted: (object) => this.#tell((handler) => handler.deleted?.(object)),
    });
  }

  /** The source for one term; `signal` ends its handlers. */
  during(signal: AbortSignal): Source<Kept> {
    const source = this.#source;
    return {
      whenSynced: source.whenSynced,
      values: () => source.values(),
      addHandler: (handler) => {
        if (signal.aborted) return;
        this.#handlers.add(handler);
        signal.addEventListener("abort", () => this.#handlers.delete(handler), { once: true });
        for (const object of source.values()) handler.added?.(object);
      },
    };
  }

  get handlerCount(): number {
    return this.#handlers.size;
  }

  #tell(call: (handler: Handler<Kept>) => void): void {
    for (const handler of this.#handlers) call(handler);
  }
}
