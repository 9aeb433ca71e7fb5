/**
 * Tells queues that the kernel has finished something. All share one event file, so that waiting takes one thread of Bun's pool, however many
 * devices are busy: with one each, slow disks would keep the others' completions from being noticed.
 *
 * To be woken by that thread takes longer than a fast disk's read. So for the first turns of the event loop after an operation went to the
 * kernel or came back, the queues are looked at in each turn instead: a look at memory that the kernel writes to, and no system call. When
 * nothing came in these turns, the thread waits. The event file counts all the time, so that nothing is missed in between.
 */
import { read as readFile } from "node:fs";
import { createEventFile } from "../libc/libc.ts";

export interface CompletionQueue {
  /** Operations at the kernel. */
  readonly inFlight: number;
  /** Takes what is finished, and submits what was waiting. */
  reap(): void;
}

/** Turns of the event loop in which completions are looked for without being told of, since the last one: some tenths of a millisecond. */
export const lookTurnsMax = 100;

export class EventHub {
  readonly eventFile = createEventFile();
  readonly #counter = Buffer.alloc(8);
  readonly #busy = new Set<CompletionQueue>();
  #awake = false;
  /** Turns left to look in. */
  #turns = 0;

  /** Calls `reap` soon after every completion until the queue has nothing in flight. */
  watch(queue: CompletionQueue): void {
    this.#busy.add(queue);
    this.#turns = lookTurnsMax;
    if (this.#awake) return;
    this.#awake = true;
    this.#goOn();
  }

  #goOn(): void {
    if (this.#busy.size === 0) this.#awake = false;
    else if (this.#turns > 0) this.#look();
    else this.#listen();
  }

  #look(): void {
    setImmediate(() => {
      this.#turns -= 1;
      this.#reapAll();
      this.#goOn();
    });
  }

  #listen(): void {
    readFile(this.eventFile, this.#counter, 0, 8, null, () => {
      this.#reapAll();
      this.#goOn();
    });
  }

  #reapAll(): void {
    for (const queue of this.#busy) {
      queue.reap();
      if (queue.inFlight === 0) this.#busy.delete(queue);
    }
  }
}

let hub: EventHub | undefined;

/** The process's one hub; its event file is open for good. */
export function eventHub(): EventHub {
  hub ??= new EventHub();
  return hub;
}
