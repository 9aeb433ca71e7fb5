/** A limit on bytes held in memory at a time, shared by all that move data. Foreground work goes before background work. */

interface Waiter {
  bytes: number;
  grant(): void;
}

export type Priority = "foreground" | "background";

/** The agent's memory, split so that no wait can go in a circle. */
export interface MemoryBudgets {
  /** Of what this agent moves: stripes it encodes, reads, rebuilds. Whoever holds some may wait for other agents. */
  moving: ByteBudget;
  /** Of chunks it takes in or hands out for others. Whoever holds some waits for this agent's pools alone. */
  serving: ByteBudget;
}

/**
 * Splits `totalBytes`. With one budget for both, two agents full of their own stripes would each wait to put a chunk into the other, until
 * their calls time out.
 */
export function memoryBudgets(totalBytes: number): MemoryBudgets {
  const servingBytes = Math.floor(totalBytes / 4);
  return { moving: new ByteBudget(totalBytes - servingBytes), serving: new ByteBudget(servingBytes) };
}

export class ByteBudget {
  readonly totalBytes: number;
  #free: number;
  readonly #waiting: Record<Priority, Waiter[]> = { foreground: [], background: [] };

  constructor(totalBytes: number) {
    this.totalBytes = totalBytes;
    this.#free = totalBytes;
  }

  get usedBytes(): number {
    return this.totalBytes - this.#free;
  }

  /** Waits until `bytes` are free and takes them; the returned function gives them back, once. More than the whole budget counts as the whole. */
  async acquire(bytes: number, priority: Priority, signal?: AbortSignal): Promise<() => void> {
    signal?.throwIfAborted();
    const wanted = Math.min(bytes, this.totalBytes);
    if (this.#mayTake(wanted, priority)) this.#free -= wanted;
    else await this.#wait(wanted, priority, signal);
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      this.#free += wanted;
      this.#serve();
    };
  }

  #mayTake(bytes: number, priority: Priority): boolean {
    const { foreground, background } = this.#waiting;
    if (foreground.length > 0 || (priority === "background" && background.length > 0)) return false;
    return bytes <= this.#free;
  }

  #wait(bytes: number, priority: Priority, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#waiting[priority];
      const onAbort = () => {
        queue.splice(queue.indexOf(waiter), 1);
        reject(signal?.reason);
        this.#serve();
      };
      const waiter: Waiter = {
        bytes,
        grant: () => {
          signal?.removeEventListener("abort", onAbort);
          resolve();
        },
      };
      queue.push(waiter);
      signal?.addEventListener("abort", onAbort, { once: true });
    });
  }

  /** In order: a big one at the front is not overtaken, else it would starve. */
  #serve(): void {
    for (const queue of [this.#waiting.foreground, this.#waiting.background]) {
      for (let first = queue[0]; first !== undefined && first.bytes <= this.#free; first = queue[0]) {
        queue.shift();
        this.#free -= first.bytes;
        first.grant();
      }
      if (queue.length > 0) return;
    }
  }
}
