/**
 * Tells queues that the kernel has finished something. All share one event file, so that waiting takes one thread of Bun's pool, however many
 * devices are busy: with one each, slow disks would keep the others' completions from being noticed.
 */
import { read as readFile } from "node:fs";
import { createEventFile } from "../libc/libc.ts";

export interface CompletionQueue {
  /** Operations at the kernel. */
  readonly inFlight: number;
  /** Takes what is finished, and submits what was waiting. */
  reap(): void;
}

class EventHub {
  readonly eventFile = createEventFile();
  readonly #counter = Buffer.alloc(8);
  readonly #busy = new Set<CompletionQueue>();
  #listening = false;

  /** Calls `reap` after every completion until the queue has nothing in flight. */
  watch(queue: CompletionQueue): void {
    this.#busy.add(queue);
    if (!this.#listening) this.#listen();
  }

  #listen(): void {
    this.#listening = true;
    readFile(this.eventFile, this.#counter, 0, 8, null, () => {
      for (const queue of [...this.#busy]) {
        queue.reap();
        if (queue.inFlight === 0) this.#busy.delete(queue);
      }
      if (this.#busy.size > 0) this.#listen();
      else this.#listening = false;
    });
  }
}

let hub: EventHub | undefined;

/** The process's one hub; its event file is open for good. */
export function eventHub(): EventHub {
  hub ??= new EventHub();
  return hub;
}
