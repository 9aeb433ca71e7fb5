/** The near side of `ioctl-worker.ts`: blocking ioctls kept off the event loop. */
import { errnoError } from "../core/errno.ts";
import { addressOf } from "../core/memory.ts";
import { isCompiled } from "../core/platform.ts";

export interface IoctlOrder {
  id: number;
  fd: number;
  request: number;
  addresses: readonly number[];
}

export interface IoctlOutcome {
  id: number;
  /** How many of the arguments were done with result 0. */
  done: number;
  /** What the last call made returned; above 0 is an NVMe status. */
  result: number;
  errno: number;
}

/** In the compiled program the worker lies where the bundler put it, and nothing of that name in the current folder can take its place. */
const workerFile = (): string =>
  isCompiled() ? "/$bunfs/root/native-ffi/zoned/ioctl-worker.js" : new URL("./ioctl-worker.ts", import.meta.url).href;

const ioError = 5; // EIO
const badDescriptor = 9; // EBADF

interface Pending {
  resolve: (outcome: IoctlOutcome) => void;
  reject: (error: unknown) => void;
  /** Keeps the memory alive that the kernel has the address of. */
  held: readonly Uint8Array[];
}

export class IoctlThread {
  readonly #worker: Worker;
  readonly #pending = new Map<number, Pending>();
  #nextId = 0;
  #closing: Promise<void> | undefined;
  #idle: () => void = () => {};
  #dead: string | undefined;

  constructor() {
    this.#worker = new Worker(workerFile());
    this.#worker.onmessage = ({ data }: MessageEvent<IoctlOutcome>) => this.#answer(data);
    this.#worker.onerror = ({ message }) => this.#die(message);
    this.#worker.unref();
  }

  /**
   * Calls `ioctl(fd, request, argument)` for each argument in turn, until one does not return 0. Requests of one thread are done in the order they
   * are made in. `data` is other memory that the arguments point to. Rejects only if the thread is closed or has died.
   */
  run(
    fd: number,
    request: number,
    args: readonly Uint8Array[],
    data: readonly Uint8Array[] = [],
  ): Promise<IoctlOutcome> {
    if (this.#closing) return Promise.reject(errnoError(badDescriptor, "ioctl", `fd ${fd} (closed)`));
    if (this.#dead !== undefined) return Promise.reject(this.#death(this.#dead));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject, held: [...args, ...data] });
      this.#worker.ref();
      this.#worker.postMessage({ id, fd, request, addresses: args.map(addressOf) } satisfies IoctlOrder);
    });
  }

  /** Waits for what is under way, and ends the thread. */
  close(): Promise<void> {
    this.#closing ??= new Promise<void>((resolve) => {
      this.#idle = resolve;
      if (this.#pending.size === 0) resolve();
    }).then(() => this.#worker.terminate());
    return this.#closing;
  }

  #answer(outcome: IoctlOutcome): void {
    const pending = this.#pending.get(outcome.id);
    this.#pending.delete(outcome.id);
    if (this.#pending.size === 0) {
      this.#worker.unref();
      this.#idle();
    }
    pending?.resolve(outcome);
  }

  /** What it was doing may go on in the kernel: its memory is never given back. */
  #die(message: string): void {
    this.#dead = message;
    for (const { reject, held } of this.#pending.values()) {
      abandoned.push(...held);
      reject(this.#death(message));
    }
    this.#pending.clear();
    this.#idle();
  }

  #death(message: string): Error {
    return errnoError(ioError, "ioctl", `(the thread for it has died: ${message})`);
  }
}

/** Memory of calls that nobody knows the end of. */
const abandoned: Uint8Array[] = [];
