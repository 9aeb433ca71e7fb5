/**
 * A queue of commands to a controller. Completions are polled: at each turn of the event loop while any is expected, once a millisecond when
 * nothing has come for a while. A device that does not answer at all is given up after `commandMsMax`: what became of its commands is unknown, and
 * their memory is never used again.
 */

import type { Clock } from "@couchestor/common/runtime/clock.ts";
import { FileSystemError } from "@couchestor/common/runtime/file-system.ts";
import { StructArray } from "../core/struct.ts";
import type { Driver } from "./driver.ts";
import { statusError } from "./status.ts";
import { completionLayout } from "./structs.ts";

export const commandMsMax = 30_000;
const outOfMemory = 12; // ENOMEM: the queue is full
const gone = 6; // ENXIO
/** Polls without a completion before the queue is polled less often. */
const spinsMax = 200;
const completionsAtOnce = 64;

interface Command {
  operation: string;
  /** Submits it under this tag; the result is the driver's. */
  submit(tag: number): number;
  resolve(result: number): void;
  reject(error: unknown): void;
  sentMs: number;
}

export class CommandQueue {
  readonly #driver: Driver;
  readonly #clock: Clock;
  readonly #path: string;
  readonly #handle: number;
  readonly #depthMax: number;
  readonly #out = new Map<number, Command>();
  #waiting: Command[] = [];
  #nextTag = 1;
  #polling = false;
  #spins = 0;
  #broken: FileSystemError | undefined;
  #closed = false;
  #idle: (() => void)[] = [];
  readonly #completions = new StructArray(completionLayout, completionsAtOnce);

  /** `path` names the device in errors. */
  constructor(driver: Driver, controller: number, depthMax: number, path: string, clock: Clock) {
    this.#driver = driver;
    this.#clock = clock;
    this.#path = path;
    this.#depthMax = depthMax;
    const handle = new BigUint64Array(1);
    driver.check(driver.calls.cs_queue_open(controller, depthMax, handle), "open a queue", path);
    this.#handle = Number(handle[0]);
  }

  get handle(): number {
    return this.#handle;
  }

  /** Why nothing can be done any more, if so: the device is gone, or does not answer. */
  get broken(): FileSystemError | undefined {
    return this.#broken;
  }

  /** Runs a command in its turn; resolves with its result, rejects with a `FileSystemError`. */
  run(operation: string, submit: (tag: number) => number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closed) return reject(new FileSystemError("EBADF", operation, `${this.#path} (closed)`));
      if (this.#broken) return reject(this.#broken);
      this.#waiting.push({ operation, submit, resolve, reject, sentMs: 0 });
      this.#send();
    });
  }

  /** Waits for what is under way, then gives the queue back. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    // A turn that is due still polls, though all commands may have been given up meanwhile.
    if (this.#polling) await new Promise<void>((resolve) => this.#idle.push(resolve));
    this.#driver.calls.cs_queue_close(this.#handle);
  }

  #send(): void {
    while (this.#waiting.length > 0 && this.#out.size < this.#depthMax && !this.#broken) {
      const command = this.#waiting[0] as Command;
      const tag = this.#nextTag;
      const result = command.submit(tag);
      if (result === -outOfMemory && this.#out.size > 0) break;
      this.#waiting.shift();
      if (result < 0) {
        this.#refuse(command, result);
        continue;
      }
      this.#nextTag = tag >= Number.MAX_SAFE_INTEGER ? 1 : tag + 1;
      command.sentMs = this.#clock.monotonicMs();
      this.#out.set(tag, command);
    }
    if (this.#out.size > 0) this.#pollSoon();
  }

  #refuse(command: Command, result: number): void {
    try {
      this.#driver.check(result, command.operation, this.#path);
    } catch (error) {
      if (result === -gone) this.#giveUp(this.#goneError(command.operation));
      command.reject(result === -gone ? this.#broken : error);
    }
  }

  #pollSoon(): void {
    if (this.#polling) return;
    this.#polling = true;
    this.#spins = 0;
    setImmediate(() => this.#turn());
  }

  #turn(): void {
    const count = this.#driver.calls.cs_poll(this.#handle, this.#completions.bytes, completionsAtOnce);
    if (count < 0) this.#giveUp(this.#goneError("poll"));
    for (let i = 0; i < count; i++) this.#complete(i);
    this.#spins = count > 0 ? 0 : this.#spins + 1;
    if (count === 0 && this.#spins % spinsMax === 0) this.#checkAge();
    this.#send();
    if (this.#out.size === 0 && this.#waiting.length === 0) {
      this.#polling = false;
      for (const resolve of this.#idle.splice(0)) resolve();
      return;
    }
    if (this.#spins < spinsMax) setImmediate(() => this.#turn());
    else void this.#clock.sleep(1).then(() => this.#turn());
  }

  #complete(index: number): void {
    const tag = this.#completions.get(index, "tag");
    const command = this.#out.get(tag);
    if (command === undefined) return;
    this.#out.delete(tag);
    const status = this.#completions.get(index, "status");
    if (status === 0) command.resolve(this.#completions.get(index, "result"));
    else command.reject(statusError(status, command.operation, this.#path));
  }

  #checkAge(): void {
    const [oldest] = this.#out.values();
    if (oldest === undefined || this.#clock.monotonicMs() - oldest.sentMs < commandMsMax) return;
    this.#giveUp(
      new FileSystemError("ENODEV", `${oldest.operation} (no answer within ${commandMsMax} ms)`, this.#path),
    );
  }

  #goneError(operation: string): FileSystemError {
    return new FileSystemError("ENODEV", `${operation} (the device was removed)`, this.#path);
  }

  #giveUp(error: FileSystemError): void {
    this.#broken ??= error;
    const all = [...this.#out.values(), ...this.#waiting];
    this.#out.clear();
    this.#waiting = [];
    for (const command of all) command.reject(this.#broken);
  }
}
