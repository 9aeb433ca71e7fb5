/**
 * Asynchronous I/O by libaio: up to `depthMax` operations at the kernel at once, the others wait in line. The kernel counts completions in an
 * event file and puts them into a ring in memory; the event hub says when that is looked at.
 *
 * Each operation goes to the kernel by itself and at once. To collect those of a turn for one call saves system calls, but the device is idle while
 * they are collected, and then answers all together.
 */
import { AppError } from "@couchestor/common/errors/app-error.ts";
import { errnoError } from "../core/errno.ts";
import { type LibraryName, loadLibrary } from "../core/load.ts";
import { AddressArray, addressOf } from "../core/memory.ts";
import { StructArray } from "../core/struct.ts";
import { type CompletionQueue, eventHub } from "./event-hub.ts";
import { flagEventFile, iocbLayout, ioEventLayout, opcodeRead, opcodeWrite } from "./structs.ts";

export const aioLibrary: LibraryName = {
  name: "libaio",
  sonames: ["libaio.so.1", "libaio.so.1t64"],
  environmentVariable: "COUCHESTOR_LIBAIO",
};

const signatures = {
  io_setup: { args: ["i32", "ptr"], returns: "i32" },
  io_destroy: { args: ["u64"], returns: "i32" },
  io_submit: { args: ["u64", "i64", "ptr"], returns: "i32" },
  io_getevents: { args: ["u64", "i64", "i64", "ptr", "ptr"], returns: "i32" },
} as const;

type AioSymbols = NonNullable<ReturnType<typeof loadLibrary<typeof signatures>>["library"]>["symbols"];

export const depthLimit = 1024;
/** Operations in line behind those at the kernel; more is a caller without backpressure. */
export const waitingMax = 65_536;
const tryAgain = 11; // EAGAIN
const invalid = 22; // EINVAL
/** A `struct timespec` of zero. */
const noWait = new BigInt64Array(2);

/** Told of each operation that the kernel was given, once it is done or has failed. */
export interface LatencyObserver {
  nowMs(): number;
  observe(kind: "read" | "write" | "sync", milliseconds: number): void;
}

interface Operation {
  /** When the kernel was given it. */
  submittedMs: number;
  readonly opcode: number;
  readonly fd: number;
  readonly path: string;
  readonly buffer: Uint8Array;
  readonly offset: number;
  readonly resolve: (bytes: number) => void;
  readonly reject: (error: unknown) => void;
}

const kindOf = ({ opcode }: Operation): "read" | "write" => (opcode === opcodeRead ? "read" : "write");

let opened: AioSymbols | undefined;

function symbols(): AioSymbols {
  if (!opened) {
    const { library, notes } = loadLibrary(aioLibrary, signatures);
    if (!library)
      throw new AppError(
        "FailedPrecondition",
        `asynchronous I/O needs libaio, which could not be used: ${notes.join("; ")}`,
      );
    opened = library.symbols;
  }
  return opened;
}

/** Whether libaio can be opened here, and if not, why. */
export function aioAvailable(): { available: boolean; why: string } {
  try {
    symbols();
    return { available: true, why: "" };
  } catch (error) {
    return { available: false, why: error instanceof Error ? error.message : String(error) };
  }
}

export class AioQueue implements CompletionQueue {
  readonly depthMax: number;
  readonly #symbols: AioSymbols;
  readonly #latency: LatencyObserver | undefined;
  readonly #context: bigint;
  readonly #blocks: StructArray<keyof typeof iocbLayout.fields>;
  readonly #events: StructArray<keyof typeof ioEventLayout.fields>;
  /** The address of each slot's block: io_submit takes an array of addresses, here of one. */
  readonly #submission: AddressArray;
  /** The operation in each slot: also what keeps its buffer alive while the kernel has the address. */
  readonly #slots: (Operation | undefined)[];
  readonly #free: number[];
  #waiting: Operation[] = [];
  #waitingFrom = 0;
  #closing: { promise: Promise<void>; resolve: () => void } | undefined;

  constructor(depthMax: number, latency?: LatencyObserver) {
    if (!Number.isInteger(depthMax) || depthMax < 1 || depthMax > depthLimit) {
      throw new AppError("InvalidArgument", `depthMax: got ${depthMax}; allowed: 1 to ${depthLimit}`, {
        data: { field: "depthMax", got: depthMax },
      });
    }
    this.depthMax = depthMax;
    this.#latency = latency;
    this.#symbols = symbols();
    const context = new BigUint64Array(1);
    const result = this.#symbols.io_setup(depthMax, context);
    if (result < 0) throw errnoError(-result, "io_setup", `depth ${depthMax} (see /proc/sys/fs/aio-max-nr)`);
    this.#context = context[0] as bigint;
    this.#blocks = new StructArray(iocbLayout, depthMax);
    for (let slot = 0; slot < depthMax; slot++) {
      // The same for every operation; the rest is zero.
      this.#blocks.set(slot, "aio_data", slot);
      this.#blocks.set(slot, "aio_flags", flagEventFile);
      this.#blocks.set(slot, "aio_resfd", eventHub().eventFile);
    }
    this.#events = new StructArray(ioEventLayout, depthMax);
    this.#submission = new AddressArray(depthMax);
    const blocksAddress = addressOf(this.#blocks.bytes);
    for (let slot = 0; slot < depthMax; slot++)
      this.#submission.setAddress(slot, blocksAddress + slot * iocbLayout.sizeBytes);
    this.#slots = new Array(depthMax).fill(undefined);
    this.#free = Array.from({ length: depthMax }, (_, i) => depthMax - 1 - i);
  }

  /** Operations at the kernel now. */
  get inFlight(): number {
    return this.depthMax - this.#free.length;
  }

  /**
   * Reads or writes `buffer` at `offset` of an open file. Resolves with the bytes done, which may be fewer; rejects with a `FileSystemError`.
   * The buffer belongs to the kernel until then.
   */
  submit(kind: "read" | "write", fd: number, path: string, buffer: Uint8Array, offset: number): Promise<number> {
    return new Promise((resolve, reject) => {
      if (this.#closing) return reject(errnoError(9, kind, `${path} (closed)`));
      // Such a request could not be put into a block, and would stay at the head of the line.
      if (buffer.length === 0 || !Number.isSafeInteger(offset)) return reject(errnoError(invalid, kind, path));
      if (this.#waiting.length - this.#waitingFrom >= waitingMax) return reject(errnoError(tryAgain, kind, path));
      this.#waiting.push({
        submittedMs: 0,
        opcode: kind === "read" ? opcodeRead : opcodeWrite,
        fd,
        path,
        buffer,
        offset,
        resolve,
        reject,
      });
      this.#pump();
    });
  }

  /** Waits for everything submitted, then gives the context back. */
  close(): Promise<void> {
    if (!this.#closing) {
      let resolve = () => {};
      const promise = new Promise<void>((done) => {
        resolve = done;
      });
      this.#closing = { promise, resolve };
      this.#finishIfIdle();
    }
    return this.#closing.promise;
  }

  #finishIfIdle(): void {
    if (!this.#closing || this.inFlight > 0 || this.#waiting.length > this.#waitingFrom) return;
    const { resolve } = this.#closing;
    this.#symbols.io_destroy(this.#context);
    resolve();
  }

  /** Gives the kernel what is in line, as far as slots are free. */
  #pump(): void {
    while (this.#free.length > 0 && this.#waitingFrom < this.#waiting.length) {
      if (!this.#give(this.#waiting[this.#waitingFrom] as Operation)) break;
      this.#waitingFrom += 1;
    }
    if (this.#waitingFrom === this.#waiting.length || this.#waitingFrom > 1024) {
      this.#waiting.splice(0, this.#waitingFrom);
      this.#waitingFrom = 0;
    }
    if (this.inFlight > 0) eventHub().watch(this);
    else this.#finishIfIdle();
  }

  /** False if the kernel has no room at the moment: the end of what it is doing will make some. */
  #give(operation: Operation): boolean {
    const slot = this.#free.pop() as number;
    this.#fill(slot, operation);
    operation.submittedMs = this.#latency?.nowMs() ?? 0;
    const result = this.#symbols.io_submit(this.#context, 1, (this.#submission.address + slot * 8) as never);
    if (result === 1) return true;
    this.#take(slot);
    if (result === -tryAgain && this.inFlight > 0) return false;
    operation.reject(errnoError(-result, kindOf(operation), operation.path));
    return true;
  }

  #fill(slot: number, operation: Operation): void {
    const blocks = this.#blocks;
    this.#slots[slot] = operation;
    blocks.set(slot, "aio_lio_opcode", operation.opcode);
    blocks.set(slot, "aio_fildes", operation.fd);
    blocks.set(slot, "aio_buf", addressOf(operation.buffer));
    blocks.set(slot, "aio_nbytes", operation.buffer.length);
    blocks.set(slot, "aio_offset", operation.offset);
  }

  #take(slot: number): Operation {
    const operation = this.#slots[slot] as Operation;
    this.#slots[slot] = undefined;
    this.#free.push(slot);
    return operation;
  }

  /** Called by the hub. */
  reap(): void {
    // Without a completion no slot has become free.
    if (this.#takeFinished() > 0) this.#pump();
  }

  /** Returns how many there were. */
  #takeFinished(): number {
    for (let total = 0; ; ) {
      // With a zero timeout libaio looks at its ring in memory first, and asks the kernel only if there is something.
      const count = this.#symbols.io_getevents(this.#context, 0, this.depthMax, this.#events.bytes, noWait);
      const nowMs = count > 0 ? (this.#latency?.nowMs() ?? 0) : 0;
      for (let i = 0; i < count; i++) {
        const operation = this.#take(this.#events.get(i, "data"));
        this.#latency?.observe(kindOf(operation), nowMs - operation.submittedMs);
        const result = this.#events.get(i, "res");
        if (result >= 0) operation.resolve(result);
        else operation.reject(errnoError(-result, kindOf(operation), operation.path));
      }
      total += Math.max(0, count);
      if (count < this.depthMax) return total;
    }
  }
}
